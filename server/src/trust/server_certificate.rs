//! The server's own certificate: self-signed, so that clients compare it as a whole, by its fingerprint or a copy of it.

use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{Asn1Flag, EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use rlxc_sys::file::{self, Durability};

use super::certificate::fingerprint;
use crate::error::{Cause, Error, Result};

/// Ten years.
const LIFETIME_DAYS: u32 = 3650;

/// Certificate and key.
#[derive(Debug)]
pub struct ServerCertificate {
    x509: X509,
    key: PKey<Private>,
    pem: String,
    fingerprint: String,
}

impl ServerCertificate {
    /// Reads `server.crt` and `server.key` of a directory, or makes them.
    pub fn ensure(directory: &Path) -> Result<Self> {
        let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
        // The certificate is written last: without it the key alone means nothing.
        if !certificate.exists() {
            let (x509, pkey) = make(&host_name()).map_err(Error::internal)?;
            let pem = pkey.private_key_to_pem_pkcs8().map_err(Error::internal)?;
            write(&key, &pem, 0o600)?;
            write(
                &certificate,
                &x509.to_pem().map_err(Error::internal)?,
                0o644,
            )?;
        }
        let unusable = |path: &Path| {
            let what = format!("read {}", path.display());
            move |error: Cause| Error::failed(what, error)
        };
        let read = |path: &Path| file::read(path).map_err(|error| unusable(path)(error.into()));
        let pem = read(&certificate)?;
        let x509 = X509::from_pem(&pem).map_err(|error| unusable(&certificate)(error.into()))?;
        let private: PKey<Private> = PKey::private_key_from_pem(&read(&key)?)
            .map_err(|error| unusable(&key)(error.into()))?;
        let fits = x509
            .public_key()
            .is_ok_and(|public| public.public_eq(&private));
        if !fits {
            return Err(Error::Unavailable(format!(
                "{} does not belong to {}: put the right one back, or remove both for new ones",
                key.display(),
                certificate.display()
            )));
        }
        Ok(Self {
            fingerprint: fingerprint(&x509)?,
            pem: String::from_utf8_lossy(&pem).into_owned(),
            x509,
            key: private,
        })
    }

    /// The certificate.
    pub fn x509(&self) -> &X509 {
        &self.x509
    }

    /// Its key.
    pub fn key(&self) -> &PKey<Private> {
        &self.key
    }

    /// The certificate as text.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the DER, in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    file::write_atomic(path, content, mode, Durability::Durable)
        .map_err(|error| Error::failed("keep the server's certificate", error))
}

fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    // Clients take the first DNS name as the server's: there must be one.
    if name.is_empty() || name == "(none)" {
        return "rlxc".to_owned();
    }
    name
}

fn make(host: &str) -> Result<(X509, PKey<Private>), ErrorStack> {
    let mut group = EcGroup::from_curve_name(Nid::SECP384R1)?;
    group.set_asn1_flag(Asn1Flag::NAMED_CURVE);
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::ORGANIZATIONNAME, "rlxc")?;
    // A common name has 64 characters at most, RFC 5280.
    let common: String = format!("root@{host}").chars().take(64).collect();
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
    // No key usage: one without the right to sign makes OpenSSL refuse a copy of the certificate as its own anchor.
    builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    let names = SubjectAlternativeName::new()
        .dns(host)
        .ip("127.0.0.1")
        .ip("::1")
        .build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)?;
    builder.sign(&key, MessageDigest::sha384())?;
    Ok((builder.build(), key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let first = ServerCertificate::ensure(directory.path()).unwrap();
        let again = ServerCertificate::ensure(directory.path()).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        let names = first.x509().subject_alt_names().unwrap();
        assert!(names.iter().next().unwrap().dnsname().is_some());
        let mode = std::fs::metadata(directory.path().join("server.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        ServerCertificate::ensure(one.path()).unwrap();
        ServerCertificate::ensure(other.path()).unwrap();
        std::fs::copy(
            one.path().join("server.key"),
            other.path().join("server.key"),
        )
        .unwrap();
        let error = ServerCertificate::ensure(other.path()).unwrap_err();
        assert!(error.to_string().contains("does not belong"), "{error}");
    }
}
