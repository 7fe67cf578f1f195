//! Prints an error with all its causes, on one line.

use std::error::Error;
use std::fmt;

/// Displays `error` and each of its sources, joined by `: `.
///
/// No `Display` of ours includes its source, so nothing is printed twice.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl fmt::Display + 'a {
    Chain(error)
}

struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_every_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("create volume `c1`")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(
            chain(&error).to_string(),
            "create volume `c1`: disk on fire"
        );
    }
}
