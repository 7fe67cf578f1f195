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

/// The key of a certificate that is about to be written.
const NEXT_KEY: &str = "server.key.new";

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
        if !directory.join("server.crt").exists() {
            return Self::renew(directory);
        }
        let read = Self::read(directory, "server.key");
        let next = directory.join(NEXT_KEY);
        if read.is_err() && next.exists() {
            // Cut off between the new certificate and its key.
            let whole = Self::read(directory, NEXT_KEY)?;
            put_in_place(&next, &directory.join("server.key"))?;
            return Ok(whole);
        }
        read
    }

    /// Makes new ones in place of what is there.
    pub fn renew(directory: &Path) -> Result<Self> {
        let (x509, pkey) = make(&host_name()).map_err(Error::internal)?;
        let key = pkey.private_key_to_pem_pkcs8().map_err(Error::internal)?;
        Self::keep(directory, &x509.to_pem().map_err(Error::internal)?, &key)
    }

    /// Takes given ones, PEM, in place of what is there. The certificate may be followed by its chain.
    pub fn replace(directory: &Path, certificate: &str, key: &str) -> Result<Self> {
        let failed = |what: &'static str| move |error: ErrorStack| Error::failed(what, error);
        let x509 = X509::from_pem(certificate.as_bytes())
            .map_err(failed("the certificate can't be read: it should be PEM"))?;
        let pkey = PKey::private_key_from_pem(key.as_bytes())
            .map_err(failed("the key can't be read: it should be PEM"))?;
        if !x509
            .public_key()
            .is_ok_and(|public| public.public_eq(&pkey))
        {
            return Err(Error::Invalid(
                "the key does not belong to the certificate".to_owned(),
            ));
        }
        Self::keep(directory, certificate.as_bytes(), key.as_bytes())
    }

    /// Writes both so that one of both pairs is whole whenever we die.
    fn keep(directory: &Path, certificate: &[u8], key: &[u8]) -> Result<Self> {
        let next = directory.join(NEXT_KEY);
        write(&next, key, 0o600)?;
        write(&directory.join("server.crt"), certificate, 0o644)?;
        put_in_place(&next, &directory.join("server.key"))?;
        Self::read(directory, "server.key")
    }

    fn read(directory: &Path, key: &str) -> Result<Self> {
        let (certificate, key) = (directory.join("server.crt"), directory.join(key));
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

    /// The first and the last moment at which it is good, as OpenSSL writes them.
    pub fn lifetime(&self) -> (String, String) {
        let (from, to) = (self.x509.not_before(), self.x509.not_after());
        (from.to_string(), to.to_string())
    }
}

fn put_in_place(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)
        .map_err(|error| Error::failed(format!("rename {}", from.display()), error))
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
    fn a_renewal_that_was_cut_off_ends_with_a_whole_pair() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let first = ServerCertificate::ensure(directory.path()).unwrap();
        let old_key = std::fs::read(path("server.key")).unwrap();
        let second = ServerCertificate::renew(directory.path()).unwrap();
        assert_ne!(first.fingerprint(), second.fingerprint());
        // Died before the key was put in place.
        std::fs::rename(path("server.key"), path(NEXT_KEY)).unwrap();
        std::fs::write(path("server.key"), &old_key).unwrap();
        let read = ServerCertificate::ensure(directory.path()).unwrap();
        assert_eq!(read.fingerprint(), second.fingerprint());
        assert!(!path(NEXT_KEY).exists());
        // Died before the certificate was written: the old pair holds.
        std::fs::write(path(NEXT_KEY), &old_key).unwrap();
        let read = ServerCertificate::ensure(directory.path()).unwrap();
        assert_eq!(read.fingerprint(), second.fingerprint());
        let mode = std::fs::metadata(path("server.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_pair_that_does_not_fit_replaces_nothing() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ours = ServerCertificate::ensure(one.path()).unwrap();
        let theirs = ServerCertificate::ensure(other.path()).unwrap();
        let key =
            |of: &tempfile::TempDir| std::fs::read_to_string(of.path().join("server.key")).unwrap();
        for (certificate, key) in [
            (theirs.pem(), key(&one)),
            ("x", key(&other)),
            (theirs.pem(), String::new()),
        ] {
            ServerCertificate::replace(one.path(), certificate, &key).unwrap_err();
        }
        let kept = ServerCertificate::ensure(one.path()).unwrap();
        assert_eq!(kept.fingerprint(), ours.fingerprint());
        ServerCertificate::replace(one.path(), theirs.pem(), &key(&other)).unwrap();
        let kept = ServerCertificate::ensure(one.path()).unwrap();
        assert_eq!(kept.fingerprint(), theirs.fingerprint());
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
