//! Names of processor architectures: what Debian and image servers write (`amd64`), and what the kernel and LXD's API
//! write (`x86_64`). See <https://www.debian.org/ports/> and uname(2).

/// Pairs of Debian's name and the kernel's.
const NAMES: [(&str, &str); 9] = [
    ("amd64", "x86_64"),
    ("arm64", "aarch64"),
    ("armhf", "armv7l"),
    ("armel", "armv6l"),
    ("i386", "i686"),
    ("loong64", "loongarch64"),
    ("ppc64el", "ppc64le"),
    ("riscv64", "riscv64"),
    ("s390x", "s390x"),
];

/// Debian's name of an architecture that either world may have named; `None` if neither knows it.
pub fn debian_name(name: &str) -> Option<&'static str> {
    let (debian, _) = NAMES.iter().find(|pair| pair.0 == name || pair.1 == name)?;
    Some(debian)
}

/// The kernel's name of an architecture that either world may have named; `None` if neither knows it.
pub fn kernel_name(name: &str) -> Option<&'static str> {
    let (_, kernel) = NAMES.iter().find(|pair| pair.0 == name || pair.1 == name)?;
    Some(kernel)
}

/// Debian's name of the architecture that this program was built for.
pub fn native() -> &'static str {
    match std::env::consts::ARCH {
        "x86" => "i386",
        "arm" => "armhf",
        "powerpc64" => "ppc64el",
        other => debian_name(other).unwrap_or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_worlds_meet() {
        assert_eq!(debian_name("x86_64"), Some("amd64"));
        assert_eq!(debian_name("amd64"), Some("amd64"));
        assert_eq!(kernel_name("arm64"), Some("aarch64"));
        assert_eq!(kernel_name("mips"), None);
        assert!(kernel_name(native()).is_some());
    }
}
