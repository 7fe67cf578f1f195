//! Images that are files on the web: a HEAD request says which file and of which fingerprint, in either dialect.

use hyper::{HeaderMap, Method};
use rlxc_api::ImagesPostSource;

use super::{proxies, server_config};
use crate::app::image::import::{Draft, import};
use crate::app::image::incoming::Incoming;
use crate::app::image::receive::receive;
use crate::app::project::gate;
use crate::context::App;
use crate::error::{Error, Result};
use crate::model::Image;
use crate::operation::Handle;
use crate::simplestreams::architecture;
use crate::web::{HttpClient, Proof, Question, Url, WebError};

/// The address of an image.
#[derive(Debug)]
pub(in crate::app::image) struct Address(Url);

/// What is known of a file before it is here.
struct Announced {
    url: Url,
    fingerprint: Option<String>,
}

impl Address {
    pub(in crate::app::image) fn parse(source: &ImagesPostSource) -> Result<Self> {
        let url = Url::parse(&source.url);
        url.map(Self)
            .map_err(|error| Error::Invalid(error.to_string()))
    }

    /// Brings the image here.
    pub(in crate::app::image) async fn fetch(
        &self,
        app: &App,
        operation: &Handle,
        mut draft: Draft,
    ) -> Result<Image> {
        let incoming = tokio::select! {
            incoming = self.download(app, operation) => incoming?,
            () = operation.cancellation().cancelled() => return Err(Error::Cancelled),
        };
        if draft.filename.is_empty() {
            let path = self.0.path.split('?').next().unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            name.clone_into(&mut draft.filename);
        }
        import(app, operation.id(), operation.project(), incoming, draft).await
    }

    async fn download(&self, app: &App, operation: &Handle) -> Result<Incoming> {
        let failed = |error| self.refuse(error);
        gate::check_image_server(app, operation.project(), &self.0.to_string()).await?;
        let proxies = proxies(&server_config(app).await?);
        let http = HttpClient::new(proxies, &Proof::Authorities).map_err(Error::internal)?;
        let announced = self.ask(&http).await?;
        let response = http.get(&announced.url, 0).await.map_err(failed)?;
        let incoming = receive(app, response, operation).await;
        let incoming = incoming.map_err(|stage| {
            Error::failed(
                format!("get the image from `{}`", self.0),
                stage.into_error(),
            )
        })?;
        match &announced.fingerprint {
            Some(expected) if !expected.eq_ignore_ascii_case(&incoming.fingerprint) => {
                Err(Error::Invalid(format!(
                    "the image from `{}` has the fingerprint {} instead of {expected}",
                    self.0, incoming.fingerprint
                )))
            }
            _ => Ok(incoming),
        }
    }

    /// Servers that offer images tell where the file is and what its hash must be; others just have the file.
    async fn ask(&self, http: &HttpClient) -> Result<Announced> {
        let mut question = Question::new(Method::HEAD);
        let native = architecture::kernel_name(architecture::native()).unwrap_or_default();
        for dialect in ["LXD", "Incus"] {
            let name = format!("{dialect}-Server-Architectures");
            question.headers.push((name, native.to_owned()));
        }
        let answer = http.ask(&self.0, question).await;
        let answer = answer.map_err(|error| self.refuse(error))?;
        let told = |name: &str| dialects(answer.headers(), name);
        let fingerprint = told("Hash");
        if fingerprint.is_none() && !self.0.tls {
            return Err(Error::Invalid(format!(
                "`{}` tells no hash of the image, and nobody could tell whether it was changed on its way: use https",
                self.0
            )));
        }
        let url = told("URL").map_or(Ok(self.0.clone()), |url| self.0.resolve(&url));
        let url = url.map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(Announced { url, fingerprint })
    }

    fn refuse(&self, error: WebError) -> Error {
        match error {
            WebError::Unreachable { source, server } => {
                Error::Unavailable(format!("`{server}` can't be reached: {source}"))
            }
            error => Error::failed(format!("get the image from `{}`", self.0), error),
        }
    }
}

fn dialects(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = ["LXD", "Incus"]
        .into_iter()
        .filter_map(|dialect| headers.get(format!("{dialect}-Image-{name}")));
    values.next()?.to_str().ok().map(str::to_owned)
}
