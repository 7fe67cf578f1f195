//! Trusted certificates: `/1.0/certificates`.

use serde::{Deserialize, Serialize};

use crate::wire::{Timestamp, nullable};

/// The writable fields of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CertificatePut {
    /// Name, for people.
    pub name: String,
    /// `client`, `server` or `metrics`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it reaches only `projects`.
    pub restricted: bool,
    /// Projects.
    #[serde(deserialize_with = "nullable")]
    pub projects: Vec<String>,
    /// PEM.
    pub certificate: String,
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// A trusted certificate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Certificate {
    /// The writable fields.
    #[serde(flatten)]
    pub put: CertificatePut,
    /// SHA-256 of the DER, in hexadecimal.
    pub fingerprint: String,
}

/// Body of `POST /1.0/certificates`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CertificatesPost {
    /// The writable fields.
    #[serde(flatten)]
    pub put: CertificatePut,
    /// Make a join token instead.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub token: bool,
    /// Trust password, or a join token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// Join token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trust_token: String,
}

/// Content of a join token: base64 of its JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CertificateAddToken {
    /// Name of the client.
    pub client_name: String,
    /// SHA-256 of the server's certificate.
    pub fingerprint: String,
    /// Where the server listens.
    #[serde(deserialize_with = "nullable")]
    pub addresses: Vec<String>,
    /// Good once.
    pub secret: String,
    /// When it ends; none for never.
    pub expires_at: Timestamp,
}

/// The server's own certificate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ServerCertificate {
    /// SHA-256 of the DER, in hexadecimal.
    pub fingerprint: String,
    /// PEM.
    pub certificate: String,
    /// From when on it is good, for people.
    pub valid_from: String,
    /// Until when it is good, for people.
    pub valid_to: String,
}

/// Another certificate for the server; nothing in it: a new one of its own making.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ServerCertificatePut {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
}
