pub mod architecture;
pub fn distance(a: &str, b: &str) -> usize { strsim::damerau_levenshtein(a, b) }
