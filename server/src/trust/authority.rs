//! An authority for clients: with `server.ca` in the daemon's directory only certificates that it has signed get in, and with
//! `ca.crl` beside it none that it has revoked. LXD calls it PKI mode.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use openssl::error::ErrorStack;
use openssl::ssl::SslFiletype;
use openssl::stack::Stack;
use openssl::x509::store::{X509Lookup, X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509Ref, X509StoreContext};
use rlxc_sys::file;

use crate::error::{Cause, Error, Result};

/// The files, and what they said when they were read last.
#[derive(Debug)]
pub(super) struct Authority {
    certificate: PathBuf,
    revoked: PathBuf,
    read: Mutex<Option<(Stamp, Arc<Store>)>>,
}

/// When the files were changed; `None` for one that is not there.
type Stamp = (Option<SystemTime>, Option<SystemTime>);

struct Store(Option<X509Store>);

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.0.is_some()).finish()
    }
}

/// What an authority says of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is no authority here.
    NoAuthority,
    /// It has signed it, and not revoked it.
    Signed,
    /// It has not, or no longer; why.
    Refused(String),
}

impl Authority {
    /// Of the daemon's directory; nothing is read yet.
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            certificate: directory.join("server.ca"),
            revoked: directory.join("ca.crl"),
            read: Mutex::default(),
        }
    }

    /// Judges a certificate by the files as they are now: a list of revoked ones that is replaced holds at once.
    pub(super) fn judge(&self, certificate: &X509Ref) -> Verdict {
        let store = match self.store() {
            Ok(store) => store,
            Err(error) => {
                tracing::error!(error = %rlxc_sys::chain::chain(&error), "nobody gets in: the authority can't be read");
                return Verdict::Refused("the server's authority can't be read".to_owned());
            }
        };
        let Some(store) = &store.0 else {
            return Verdict::NoAuthority;
        };
        match verify(store, certificate) {
            Ok(None) => Verdict::Signed,
            Ok(Some(reason)) => Verdict::Refused(reason),
            Err(error) => Verdict::Refused(error.to_string()),
        }
    }

    fn store(&self) -> Result<Arc<Store>> {
        let changed = |path: &Path| {
            std::fs::metadata(path)
                .and_then(|data| data.modified())
                .ok()
        };
        let stamp = (changed(&self.certificate), changed(&self.revoked));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, store)) = &*read
            && *of == stamp
        {
            return Ok(Arc::clone(store));
        }
        let made = Arc::new(Store(
            stamp.0.map(|_| self.load(stamp.1.is_some())).transpose()?,
        ));
        *read = Some((stamp, Arc::clone(&made)));
        Ok(made)
    }

    fn load(&self, with_revoked: bool) -> Result<X509Store> {
        let failed = |path: &Path| {
            let what = format!("read {}", path.display());
            move |error: Cause| Error::failed(what, error)
        };
        let read = |path: &Path| file::read(path).map_err(|error| failed(path)(error.into()));
        let mut builder = X509StoreBuilder::new().map_err(Error::internal)?;
        let anchors = X509::stack_from_pem(&read(&self.certificate)?)
            .map_err(|error| failed(&self.certificate)(error.into()))?;
        if anchors.is_empty() {
            return Err(Error::Unavailable(format!(
                "{} holds no certificate",
                self.certificate.display()
            )));
        }
        for anchor in anchors {
            builder.add_cert(anchor).map_err(Error::internal)?;
        }
        // An authority in the middle of a chain is as good as one at its end.
        let mut flags = X509VerifyFlags::PARTIAL_CHAIN;
        if with_revoked {
            builder
                .add_lookup(X509Lookup::file())
                .and_then(|lookup| lookup.load_crl_file(&self.revoked, SslFiletype::PEM))
                .map_err(|error| failed(&self.revoked)(error.into()))?;
            flags |= X509VerifyFlags::CRL_CHECK;
        }
        builder.set_flags(flags).map_err(Error::internal)?;
        Ok(builder.build())
    }
}

/// Why a certificate is not good, or nothing.
fn verify(store: &X509Store, certificate: &X509Ref) -> Result<Option<String>, ErrorStack> {
    let mut context = X509StoreContext::new()?;
    let chain = Stack::new()?;
    context.init(store, certificate, &chain, |context| {
        Ok((!context.verify_cert()?).then(|| context.error().error_string().to_owned()))
    })
}
