//! Status codes of replies, operations and instances.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! status_codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        /// A status code; operations are over from 200 on.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[cfg_attr(test, schemars(with = "u16"))]
        #[serde(from = "u16", into = "u16")]
        pub enum StatusCode {
            $(#[doc = concat!("`", $text, "`, ", stringify!($code), ".")] $name,)*
            /// A code that we do not know.
            Other(u16),
            /// No code, 0.
            #[default]
            None,
        }

        impl StatusCode {
            /// The number on the wire.
            pub const fn code(self) -> u16 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Other(code) => code,
                    Self::None => 0,
                }
            }

            /// The text that goes with it in `status`.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(_) | Self::None => "",
                }
            }
        }

        impl From<u16> for StatusCode {
            fn from(code: u16) -> Self {
                match code {
                    $($code => Self::$name,)*
                    0 => Self::None,
                    other => Self::Other(other),
                }
            }
        }
    };
}

status_codes! {
    OperationCreated = 100, "Operation created";
    Started = 101, "Started";
    Stopped = 102, "Stopped";
    Running = 103, "Running";
    Cancelling = 104, "Cancelling";
    Pending = 105, "Pending";
    Starting = 106, "Starting";
    Stopping = 107, "Stopping";
    Aborting = 108, "Aborting";
    Freezing = 109, "Freezing";
    Frozen = 110, "Frozen";
    Thawed = 111, "Thawed";
    Error = 112, "Error";
    Ready = 113, "Ready";
    Success = 200, "Success";
    Failure = 400, "Failure";
    Cancelled = 401, "Cancelled";
}

impl StatusCode {
    /// Whether an operation with it is over.
    pub const fn is_final(self) -> bool {
        self.code() >= 200
    }
}

impl From<StatusCode> for u16 {
    fn from(status: StatusCode) -> Self {
        status.code()
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_a_round_trip() {
        for code in 0..=500 {
            assert_eq!(StatusCode::from(code).code(), code);
        }
    }

    #[test]
    fn operations_end_at_200() {
        assert!(!StatusCode::Running.is_final());
        assert!(StatusCode::Success.is_final());
        assert!(StatusCode::Cancelled.is_final());
    }
}
