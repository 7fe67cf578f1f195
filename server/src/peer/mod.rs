//! Another daemon that speaks this API (rlxcd, LXD or Incus), as far as we ask one for something of our own accord.
//!
//! It is known by its address and, where no authority has signed it, by its certificate. We show none: what isn't public is
//! opened by a secret that a client got there.

use hyper::body::Incoming;
use hyper::{Method, Response};
use openssl::x509::X509;
use rlxc_api::{Image, ImageAliasesEntry, Operation, Response as Reply};
use serde::de::DeserializeOwned;

use crate::app::image::alias_url;
use crate::web::{
    HttpClient, Proof, ProxySettings, Question, Url, WebBody, WebError, read_document,
};

/// No answer about one thing is longer.
const DOCUMENT_LIMIT: usize = 16 << 20;

/// Another daemon.
#[derive(Debug)]
pub struct Peer {
    base: Url,
    project: String,
    http: HttpClient,
}

/// Why it gave no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Nobody there, or somebody else.
    #[error(transparent)]
    Web(#[from] WebError),
    /// The certificate that it should have is none.
    #[error("the server's certificate in the request is no PEM certificate")]
    BadCertificate(#[source] openssl::error::ErrorStack),
    /// It refused.
    #[error("the other server answered `{message}` ({code})")]
    Refused {
        /// HTTP status.
        code: u16,
        /// In its words.
        message: String,
    },
    /// It answered something else than this API has.
    #[error("the other server does not answer as it should")]
    Strange(#[source] serde_json::Error),
}

impl Peer {
    /// A daemon at `https://host:port`, with this very certificate (PEM), or with one that the host trusts if that is empty.
    /// `project` is empty for the default one. Nothing is asked yet.
    pub fn new(
        url: &str,
        certificate: &str,
        project: &str,
        proxies: ProxySettings,
    ) -> Result<Self, PeerError> {
        let base = Url::parse(url)?;
        let proof = if certificate.is_empty() {
            Proof::Authorities
        } else {
            let certificate = X509::from_pem(certificate.as_bytes());
            Proof::Certificate(Box::new(certificate.map_err(PeerError::BadCertificate)?))
        };
        let http = HttpClient::new(proxies, &proof).map_err(|source| {
            let server = base.authority();
            WebError::Unreachable { server, source }
        })?;
        Ok(Self {
            base,
            project: project.to_owned(),
            http,
        })
    }

    /// The fingerprint that an alias there stands for; `None` if it is no alias that is shown to us.
    pub async fn find_alias(&self, alias: &str) -> Result<Option<String>, PeerError> {
        let url = self.url(&alias_url(alias), &[]);
        match self.get::<ImageAliasesEntry>(&url).await {
            Ok(entry) => Ok(Some(entry.put.target)),
            // Servers say one or the other of what they hide.
            Err(PeerError::Refused {
                code: 403 | 404, ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A public image, by the beginning of its fingerprint.
    pub async fn find_image(&self, fingerprint: &str) -> Result<Image, PeerError> {
        self.get(&self.url(&image_path(fingerprint, ""), &[])).await
    }

    /// The files of an image, while they come; a secret is good for one such answer.
    pub async fn export(
        &self,
        fingerprint: &str,
        secret: &str,
    ) -> Result<Response<Incoming>, PeerError> {
        let url = self.url(&image_path(fingerprint, "/export"), &[("secret", secret)]);
        let response = self.http.ask(&url, Question::new(Method::GET)).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let text = read_document(&url, response, DOCUMENT_LIMIT).await?;
        Err(refusal(&text).unwrap_or(PeerError::Refused {
            code: 502,
            message: "no image".to_owned(),
        }))
    }

    /// Sends an image, which the secret in `headers` lets in; gives back the operation that takes it up there.
    pub async fn upload(
        &self,
        headers: Vec<(String, String)>,
        body: WebBody,
    ) -> Result<Operation, PeerError> {
        let url = self.url("/1.0/images", &[]);
        let question = Question {
            method: Method::POST,
            headers,
            body,
            // As long as sending takes.
            limit: None,
        };
        let response = self.http.ask(&url, question).await?;
        parse(&read_document(&url, response, DOCUMENT_LIMIT).await?)
    }

    /// Waits for an operation there that `secret` opens to us.
    pub async fn wait(&self, operation: &str, secret: &str) -> Result<Operation, PeerError> {
        let path = format!("/1.0/operations/{operation}/wait");
        let url = self.url(&path, &[("secret", secret), ("timeout", "-1")]);
        let question = Question {
            limit: None,
            ..Question::new(Method::GET)
        };
        let response = self.http.ask(&url, question).await?;
        parse(&read_document(&url, response, DOCUMENT_LIMIT).await?)
    }

    async fn get<T: DeserializeOwned>(&self, url: &Url) -> Result<T, PeerError> {
        let response = self.http.ask(url, Question::new(Method::GET)).await?;
        parse(&read_document(url, response, DOCUMENT_LIMIT).await?)
    }

    /// A path with those of the parameters that are not empty, and the project.
    fn url(&self, path: &str, parameters: &[(&str, &str)]) -> Url {
        let project = ("project", self.project.as_str());
        let all = parameters.iter().chain([&project]);
        let pairs: Vec<_> = all
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key}={}", escape(value)))
            .collect();
        let query = if pairs.is_empty() {
            String::new()
        } else {
            format!("?{}", pairs.join("&"))
        };
        self.base.join(&format!("{path}{query}"))
    }
}

fn image_path(fingerprint: &str, rest: &str) -> String {
    format!("/1.0/images/{}{rest}", escape(fingerprint))
}

/// Escapes what has a meaning in a URL.
pub(crate) fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ok = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, PeerError> {
    if let Some(refused) = refusal(text) {
        return Err(refused);
    }
    let reply: Reply<T> = serde_json::from_slice(text).map_err(PeerError::Strange)?;
    reply.metadata.ok_or_else(|| {
        let message = "no metadata";
        PeerError::Strange(serde::de::Error::custom(message))
    })
}

fn refusal(text: &[u8]) -> Option<PeerError> {
    let reply: Reply<serde_json::Value> = serde_json::from_slice(text).ok()?;
    (reply.error_code != 0).then_some(PeerError::Refused {
        code: reply.error_code,
        message: reply.error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(project: &str) -> Peer {
        let proxies = ProxySettings::default();
        Peer::new("https://box.example:8443", "", project, proxies).unwrap()
    }

    #[test]
    fn what_is_asked_for_is_escaped() {
        let url = peer("a b").url(&image_path("ab/../c", "/export"), &[("secret", "x&y")]);
        assert_eq!(
            url.to_string(),
            "https://box.example:8443/1.0/images/ab%2F..%2Fc/export?secret=x%26y&project=a%20b"
        );
        let url = peer("").url(&alias_url("debian/12"), &[("secret", "")]);
        assert_eq!(
            url.to_string(),
            "https://box.example:8443/1.0/images/aliases/debian%2F12"
        );
    }

    #[test]
    fn what_it_refuses_is_told_in_its_words() {
        let text =
            br#"{"type":"error","error":"Image not found","error_code":404,"metadata":null}"#;
        let error = parse::<Image>(text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the other server answered `Image not found` (404)"
        );
        assert!(matches!(
            parse::<Image>(b"<html>").unwrap_err(),
            PeerError::Strange(_)
        ));
        let bad = Peer::new("https://x", "no", "", ProxySettings::default());
        assert!(matches!(bad, Err(PeerError::BadCertificate(_))));
    }
}
