//! The reconciler against worlds that are not as they should be.
