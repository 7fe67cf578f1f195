//! On deltas that xdelta3 has made, and on such as nobody makes who means well.

use std::io::Write as _;
use std::path::Path;

use proptest::prelude::*;
use rlxc_sys::tool::Tool;

use super::*;

/// Bytes without a pattern, the same for the same seed.
fn noise(mut seed: u64, length: usize) -> Vec<u8> {
    let step = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()[3]
    };
    std::iter::repeat_with(step).take(length).collect()
}

/// An older and a newer file: parts that stay, move, repeat, go and come.
fn files(length: usize) -> (Vec<u8>, Vec<u8>) {
    let old = noise(1, length);
    let (a, b) = old.split_at(length / 3);
    let text = b"text that comes again and again ".repeat(300);
    let new = [
        b,
        &noise(2, length / 9),
        &text,
        &a[..length / 7],
        &[7; 5000],
        &a[length / 6..],
    ];
    (old.clone(), new.concat())
}

struct Bench {
    dir: tempfile::TempDir,
    new: Vec<u8>,
}

impl Bench {
    fn new(length: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = files(length);
        std::fs::write(dir.path().join("old"), old).unwrap();
        std::fs::write(dir.path().join("new"), &new).unwrap();
        Self { dir, new }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// What xdelta3 makes with these options.
    fn delta(&self, options: &[&str]) -> Vec<u8> {
        let tool = Tool::new("xdelta3").args(["-e", "-c", "-s"]);
        let tool = tool.args([self.path("old")]);
        let tool = tool.args(options.iter().copied());
        tool.args([self.path("new")]).run().unwrap()
    }

    fn apply(&self, delta: &[u8], size: usize) -> Result<Vec<u8>, DeltaError> {
        apply(&self.path("old"), delta, size)
    }
}

fn apply(base: &Path, delta: &[u8], size: usize) -> Result<Vec<u8>, DeltaError> {
    let mut out = Vec::new();
    apply_delta(&File::open(base).unwrap(), delta, &mut out, size as u64)?;
    assert_eq!(out.len(), size);
    Ok(out)
}

/// A delta of these windows, without a compressor.
fn by_hand(windows: &[&[u8]]) -> Vec<u8> {
    [&MAGIC, [0].as_slice(), &windows.concat()].concat()
}

#[test]
fn rebuilds_what_xdelta3_has_taken_apart() {
    let bench = Bench::new(300_000);
    for options in [
        [].as_slice(),
        // Many windows.
        &["-W", "16384"],
        &["-9", "-W", "20000"],
        &["-0"],
        &["-S", "none"],
        &["-S", "none", "-W", "16384"],
        &["-A", "-n"],
    ] {
        let delta = bench.delta(options);
        assert!(delta.len() < bench.new.len() / 3, "{options:?}");
        let made = bench.apply(&delta, bench.new.len()).unwrap();
        assert!(made == bench.new, "{options:?}");
    }
}

#[test]
fn windows_of_the_usual_size_follow_one_another() {
    let bench = Bench::new(18 << 20);
    let delta = bench.delta(&[]);
    assert!(bench.apply(&delta, bench.new.len()).unwrap() == bench.new);
}

#[test]
fn compressions_that_nobody_uses_are_told_as_such() {
    let bench = Bench::new(100_000);
    for name in ["djw", "fgk"] {
        let delta = bench.delta(&["-S", name]);
        let error = bench.apply(&delta, bench.new.len()).unwrap_err();
        assert!(matches!(error, DeltaError::Unknown(_)), "{error}");
    }
}

#[test]
fn makes_no_more_and_no_less_than_is_expected() {
    let bench = Bench::new(300_000);
    let delta = bench.delta(&["-W", "16384"]);
    let mut out = Vec::new();
    let base = File::open(bench.path("old")).unwrap();
    let error = apply_delta(&base, delta.as_slice(), &mut out, 100_000).unwrap_err();
    assert_eq!(error.to_string(), "the delta makes more than 100000 bytes");
    assert!(out.len() <= 100_000);
    let error = bench.apply(&delta, bench.new.len() + 1).unwrap_err();
    assert!(matches!(error, DeltaError::Damaged(_)), "{error}");
    for end in [0, 3, 40, delta.len() / 2, delta.len() - 1] {
        assert!(bench.apply(&delta[..end], bench.new.len()).is_err());
    }
}

#[test]
fn instructions_do_what_the_standard_says() {
    let base = tempfile::NamedTempFile::new().unwrap();
    base.as_file().write_all(b"0123456789").unwrap();
    // On "2345": RUN 3 `x`; ADD 2 `ab`; COPY 4 from address 2, which goes on in the window; COPY 7 of what it makes meanwhile.
    let window = [
        &[1, 4, 2, 0, 16, 0, 3, 6, 3],
        b"xab".as_slice(),
        &[0, 3, 3, 20, 19, 7],
        &[2, 9, 7],
    ]
    .concat();
    let made = apply(base.path(), &by_hand(&[&window]), 16).unwrap();
    assert_eq!(made, b"xxxab45xx45xx45x");
}

/// Each by a name for it, the delta and why it is refused.
#[track_caller]
fn assert_refused(cases: &[(&str, Vec<u8>, &str)]) {
    let base = tempfile::NamedTempFile::new().unwrap();
    base.as_file().write_all(&[0; 100]).unwrap();
    for (what, delta, expected) in cases {
        let error = apply(base.path(), delta, 4).unwrap_err().to_string();
        assert!(error.contains(expected), "{what}: {error}");
    }
}

#[test]
fn heads_that_promise_too_much_are_refused() {
    let endless = [&[0xff; 9], [0x7f].as_slice()].concat();
    let segment = |length: &[u8], position: &[u8]| by_hand(&[&[1], length, position]);
    let table = [&MAGIC, [2].as_slice()].concat();
    let gigabytes = [0, 0, 0x8f, 0x80, 0x80, 0x80, 0];
    assert_refused(&[
        ("nothing", vec![], "read the delta"),
        (
            "a squashfs",
            b"hsqs and more".to_vec(),
            "not begin like one",
        ),
        ("a code table", table, "a code table"),
        ("endless", segment(&endless, &[0]), "a number is too big"),
        ("beyond", segment(&[50], &[51]), "a longer file"),
        ("far beyond", segment(&[50], &endless[1..]), "a longer file"),
        ("on others", by_hand(&[&[2, 1, 0]]), "stand on earlier"),
        ("a long window", by_hand(&[&gigabytes]), "too long"),
        ("sections", by_hand(&[&[0, 0, 1, 0, 0x90, 0]]), "too long"),
        (
            "expanded",
            by_hand(&[&[0, 0, 1, 1, 0, 0, 0]]),
            "is compressed",
        ),
    ]);
}

#[test]
fn instructions_that_leave_their_window_are_refused() {
    // Of four bytes, with so many bytes of data, instructions and addresses.
    let window = |lengths: [u8; 3], sections: &[u8]| by_hand(&[&[0, 0, 4, 0], &lengths, sections]);
    let before = by_hand(&[&[1, 4, 0, 0, 4, 0, 0, 1, 1, 36, 5]]);
    assert_refused(&[
        ("a run", window([1, 2, 0], &[9, 0, 5]), "too long"),
        (
            "an end",
            window([5, 1, 0], &[9, 9, 9, 9, 9, 6]),
            "longer than",
        ),
        ("few bytes", window([0, 0, 0], &[]), "shorter than it says"),
        ("no data", window([1, 1, 0], &[9, 3]), "read the delta"),
        ("a copy", window([0, 1, 1], &[20, 0]), "what is not there"),
        ("a copy from before", before, "what is not there"),
    ]);
}

#[test]
fn a_section_that_expands_without_end_is_refused() {
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(&vec![1; 8 << 20]).unwrap();
    let xz = xz.finish().unwrap();
    let stored = [&[0x84, 0x80, 0x80, 0], xz.as_slice()].concat();
    let base = tempfile::NamedTempFile::new().unwrap();
    let varint = |value: usize| {
        let bits = |shift: usize| u8::try_from(value >> shift & 0x7f).unwrap();
        [0x80 | bits(14), 0x80 | bits(7), bits(0)]
    };
    let (target, length) = (varint(1 << 20), varint(stored.len()));
    let head = [
        &MAGIC,
        [1, 2, 0, 0].as_slice(),
        &target,
        &[2, 0],
        &length,
        &[0],
    ]
    .concat();
    let error = apply(base.path(), &[head, stored].concat(), 1 << 20).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the delta is damaged: a part of it is too long"
    );
}

#[test]
fn the_work_can_be_broken_off() {
    let bench = Bench::new(100_000);
    let delta = bench.delta(&[]);
    let error = interrupt::scope(|| true, || bench.apply(&delta, bench.new.len()));
    assert!(matches!(error, Err(DeltaError::Read(_))));
}

#[test]
fn damage_anywhere_is_an_error_or_another_file() {
    let bench = Bench::new(60_000);
    for options in [["-W", "16384"].as_slice(), &["-W", "16384", "-S", "none"]] {
        let delta = bench.delta(options);
        let flips = proptest::collection::vec((0..delta.len(), any::<u8>()), 1..4);
        proptest!(ProptestConfig::with_cases(300), |(flips in flips)| {
            let mut damaged = delta.clone();
            for (place, byte) in flips {
                damaged[place] = byte;
            }
            // It neither panics nor makes another number of bytes.
            let _made = bench.apply(&damaged, bench.new.len());
        });
    }
}
