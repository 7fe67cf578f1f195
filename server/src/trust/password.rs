//! `core.trust_password`: kept as salt and hash only.

use openssl::memcmp;
use openssl::pkcs5::scrypt;

use crate::error::{Error, Result};

/// Cost of a try: 16 MiB and some tens of milliseconds.
const COST: u64 = 1 << 14;
const MEMORY_LIMIT: u64 = 64 << 20;
const SALT: usize = 32;
const HASH: usize = 64;

fn derive(password: &str, salt: &[u8]) -> Result<[u8; HASH]> {
    let mut hash = [0; HASH];
    scrypt(
        password.as_bytes(),
        salt,
        COST,
        8,
        1,
        MEMORY_LIMIT,
        &mut hash,
    )
    .map_err(Error::internal)?;
    Ok(hash)
}

/// What is kept of a password.
pub fn hash_password(password: &str) -> Result<String> {
    let mut salt = [0; SALT];
    openssl::rand::rand_bytes(&mut salt).map_err(Error::internal)?;
    Ok(format!(
        "{}:{}",
        hex::encode(salt),
        hex::encode(derive(password, &salt)?)
    ))
}

/// Whether it is the password that `kept` was made of.
pub fn verify_password(password: &str, kept: &str) -> bool {
    let parts = kept
        .split_once(':')
        .and_then(|(salt, hash)| Some((hex::decode(salt).ok()?, hex::decode(hash).ok()?)));
    let Some((salt, hash)) = parts.filter(|(_, hash)| hash.len() == HASH) else {
        return false;
    };
    derive(password, &salt).is_ok_and(|tried| memcmp::eq(&tried, &hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_fits() {
        let kept = hash_password("secret").unwrap();
        assert!(!kept.contains("secret"));
        assert!(verify_password("secret", &kept));
        assert!(!verify_password("Secret", &kept));
        assert!(!verify_password("", &kept));
        assert!(!verify_password("secret", ""));
        assert!(!verify_password("secret", "ab:"));
    }
}
