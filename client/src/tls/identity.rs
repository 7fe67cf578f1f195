//! Our own certificate: `client.crt` and `client.key`, made at first need, in the form that LXD's clients use too.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::base64;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{Asn1Flag, EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslContextBuilder, SslFiletype};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use openssl::x509::{X509, X509NameBuilder};

use crate::error::ClientError;

/// Ten years.
const LIFETIME_DAYS: u32 = 3650;

/// Files with a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

fn failed<E>(what: String) -> impl FnOnce(E) -> ClientError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |source| ClientError::Identity {
        what,
        source: source.into(),
    }
}

impl Identity {
    /// The files of a directory, if they are there.
    pub fn find(directory: &Path) -> Option<Self> {
        let found = Self::of(directory);
        (found.certificate.exists() && found.key.exists()).then_some(found)
    }

    fn of(directory: &Path) -> Self {
        Self {
            certificate: directory.join("client.crt"),
            key: directory.join("client.key"),
        }
    }

    /// The files of a directory; they are made if they are not there. `common_name` is for people, as `user@host`.
    pub fn ensure(directory: &Path, common_name: &str) -> Result<Self, ClientError> {
        let identity = Self::of(directory);
        // The certificate is written last: without it the key alone means nothing.
        if !identity.certificate.exists() {
            let (certificate, key) =
                make(common_name).map_err(failed("make a client certificate".to_owned()))?;
            let key = key
                .private_key_to_pem_pkcs8()
                .map_err(failed("make a client certificate".to_owned()))?;
            let certificate = certificate
                .to_pem()
                .map_err(failed("make a client certificate".to_owned()))?;
            write(&identity.key, &key, 0o600)?;
            write(&identity.certificate, &certificate, 0o644)?;
        }
        Ok(identity)
    }

    pub(super) fn show(&self, builder: &mut SslContextBuilder) -> Result<(), ClientError> {
        builder
            .set_certificate_chain_file(&self.certificate)
            .map_err(failed(format!("use {}", self.certificate.display())))?;
        builder
            .set_private_key_file(&self.key, SslFiletype::PEM)
            .map_err(failed(format!("use {}", self.key.display())))
    }
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), ClientError> {
    let place = path.parent().unwrap_or(Path::new("."));
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(place)?;
        let mut file = tempfile::NamedTempFile::new_in(place)?;
        file.write_all(content)?;
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode))?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(failed(format!("write {}", path.display())))
}

fn make(common_name: &str) -> Result<(X509, PKey<Private>), ErrorStack> {
    // Signs and is verified twenty times as fast as P-384, and each command of a remote does both.
    let mut group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    group.set_asn1_flag(Asn1Flag::NAMED_CURVE);
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::ORGANIZATIONNAME, "rlxc")?;
    // A common name has 64 characters at most, RFC 5280.
    let common: String = common_name.chars().take(64).collect();
    name.append_entry_by_nid(Nid::COMMONNAME, &common)?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::ONE, false)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(&key)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(LIFETIME_DAYS)?)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(
        KeyUsage::new()
            .critical()
            .digital_signature()
            .key_encipherment()
            .build()?,
    )?;
    builder.append_extension(ExtendedKeyUsage::new().client_auth().build()?)?;
    builder.sign(&key, MessageDigest::sha384())?;
    Ok((builder.build(), key))
}

/// When a certificate, PEM, expires, in seconds since 1970; `None` where it is none.
pub fn valid_until(pem: &[u8]) -> Option<i64> {
    let certificate = X509::from_pem(pem).ok()?;
    let span = Asn1Time::from_unix(0)
        .ok()?
        .diff(certificate.not_after())
        .ok()?;
    Some(i64::from(span.days) * 86_400 + i64::from(span.secs))
}

/// Reads a certificate, PEM, and gives it back as the API takes it: base64 of the DER.
pub fn read_certificate(path: &Path) -> Result<String, ClientError> {
    let what = || format!("read the certificate {}", path.display());
    let pem = fs::read(path).map_err(failed(what()))?;
    let der = X509::from_pem(&pem)
        .and_then(|certificate| certificate.to_der())
        .map_err(failed(what()))?;
    Ok(base64::encode_block(&der))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Identity::find(directory.path()), None);
        let made = Identity::ensure(directory.path(), "ann@host").unwrap();
        let before = fs::read(&made.certificate).unwrap();
        assert_eq!(Identity::ensure(directory.path(), "x").unwrap(), made);
        assert_eq!(fs::read(&made.certificate).unwrap(), before);
        let rights = fs::metadata(&made.key).unwrap().permissions().mode();
        assert_eq!(rights & 0o777, 0o600);
        assert!(
            read_certificate(&made.certificate)
                .unwrap()
                .starts_with("MII")
        );
        assert!(read_certificate(&made.key).is_err());
    }
}
