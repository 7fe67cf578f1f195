//! Certificates of clients: what they are, not whether they are trusted.

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::x509::{X509, X509Ref};

use crate::error::{Error, Result};

/// A client's certificate; it proved that it has the key if it came by TLS.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    x509: X509,
    der: Vec<u8>,
    fingerprint: String,
}

impl ClientCertificate {
    /// Takes over a parsed one.
    pub fn new(x509: X509) -> Result<Self> {
        let der = x509.to_der().map_err(Error::internal)?;
        let fingerprint = fingerprint(&x509)?;
        Ok(Self {
            x509,
            der,
            fingerprint,
        })
    }

    /// Reads PEM.
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        let x509 = X509::from_pem(pem).map_err(|error| {
            Error::failed("the certificate can't be read: it should be PEM", error)
        })?;
        Self::new(x509)
    }

    /// Reads what clients send: PEM, or base64 of the DER.
    pub fn parse(text: &str) -> Result<Self> {
        if text.contains("-----BEGIN") {
            return Self::from_pem(text.as_bytes());
        }
        let failed = |error| {
            Error::failed(
                "the certificate can't be read: it should be PEM or base64 of its DER",
                error,
            )
        };
        let compact: String = text.split_whitespace().collect();
        let der = openssl::base64::decode_block(&compact).map_err(failed)?;
        Self::new(X509::from_der(&der).map_err(failed)?)
    }

    /// SHA-256 of the DER, in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The whole of it.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The whole of it, as text.
    pub fn pem(&self) -> Result<String> {
        let pem = self.x509.to_pem().map_err(Error::internal)?;
        String::from_utf8(pem).map_err(Error::internal)
    }

    /// Its common name, where it has one.
    pub fn common_name(&self) -> Option<String> {
        let entry = self
            .x509
            .subject_name()
            .entries_by_nid(openssl::nid::Nid::COMMONNAME)
            .next()?;
        entry.data().to_string().ok()
    }

    /// The certificate itself.
    pub(super) fn x509(&self) -> &X509Ref {
        &self.x509
    }

    /// Why it is not good now, if it is not.
    pub fn untimely(&self) -> Option<String> {
        if self.is_current() {
            return None;
        }
        let (from, to) = (self.x509.not_before(), self.x509.not_after());
        Some(format!(
            "the client certificate is valid from {from} to {to} only: it has expired, or a clock is wrong"
        ))
    }

    /// Whether now is within its time.
    fn is_current(&self) -> bool {
        Asn1Time::days_from_now(0).is_ok_and(|now| {
            self.x509
                .not_before()
                .compare(&now)
                .is_ok_and(std::cmp::Ordering::is_le)
                && self
                    .x509
                    .not_after()
                    .compare(&now)
                    .is_ok_and(std::cmp::Ordering::is_ge)
        })
    }
}

/// SHA-256 of the DER, in hexadecimal.
pub(super) fn fingerprint(x509: &X509Ref) -> Result<String> {
    let digest = x509
        .digest(MessageDigest::sha256())
        .map_err(Error::internal)?;
    Ok(hex::encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::ServerCertificate;

    #[test]
    fn pem_and_base64_are_the_same_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let made = ServerCertificate::ensure(directory.path()).unwrap();
        let by_pem = ClientCertificate::parse(made.pem()).unwrap();
        let body: String = made.pem().lines().filter(|l| !l.contains("---")).collect();
        let by_der = ClientCertificate::parse(&body).unwrap();
        assert_eq!(by_pem.der(), by_der.der());
        assert_eq!(by_pem.fingerprint(), made.fingerprint());
        assert!(by_pem.is_current());
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for text in [
            "",
            "abc",
            "!!",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        ] {
            assert!(ClientCertificate::parse(text).is_err(), "{text}");
        }
    }
}
