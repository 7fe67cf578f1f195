//! What can go wrong with a request before anybody looks at what the answer means.

/// Why there is no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// It can't be an address.
    #[error("`{url}` is not the address of a server: {reason}")]
    BadUrl {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No connection, no answer, or none within the time limits.
    #[error("server `{server}` can't be reached")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It showed another certificate than it should.
    #[error("server `{server}` shows another certificate than the one that is trusted")]
    OtherCertificate {
        /// Host and port.
        server: String,
    },
    /// It answered with an error.
    #[error("the server answered `{status}` for `{url}`")]
    Refused {
        /// What was asked for.
        url: String,
        /// The status line.
        status: String,
    },
}
