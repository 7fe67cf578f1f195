//! The program is run by an interpreter of the few instructions it has.

use super::*;
use proptest::prelude::*;

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const NOT_IMPLEMENTED: u32 = 0x0005_0026;
const DENIED_ACCESS: u32 = 0x0005_000d;

/// Verdict and number of instructions.
fn run(program: &[Instruction], arch: u32, number: u32, second: u32) -> (u32, usize) {
    call(program, arch, number, [0, second, 0, 0])
}

fn call(program: &[Instruction], arch: u32, number: u32, arguments: [u32; 4]) -> (u32, usize) {
    let (mut at, mut value, mut steps) = (0, 0, 0);
    loop {
        let instruction = program[at];
        steps += 1;
        at += 1;
        let operand = instruction.operand;
        let taken = match instruction.code {
            0x20 => {
                value = match operand {
                    0 => number,
                    4 => arch,
                    16 | 24 | 32 | 40 => arguments[(operand as usize - 16) / 8],
                    other => panic!("reads {other}"),
                };
                continue;
            }
            0x54 => {
                value &= operand;
                continue;
            }
            0x05 => {
                at += operand as usize;
                continue;
            }
            0x06 => return (operand, steps),
            0x15 => value == operand,
            0x35 => value >= operand,
            0x45 => value & operand != 0,
            other => panic!("code {other}"),
        };
        at += usize::from(if taken {
            instruction.jump_true
        } else {
            instruction.jump_false
        });
    }
}

fn x86(policy: &SeccompPolicy) -> Vec<Instruction> {
    x86_with(policy, &Interception::default())
}

fn x86_with(policy: &SeccompPolicy, interception: &Interception) -> Vec<Instruction> {
    let machine = table::machine("x86_64");
    program::assemble(&architectures(policy, interception, machine).unwrap())
}

fn everything() -> Interception {
    Interception {
        mknod: true,
        setxattr: true,
        sched_setscheduler: true,
        sysinfo: true,
        mount: Some(crate::spec::MountInterception::default()),
    }
}

fn deny(name: &str) -> SeccompPolicy {
    SeccompPolicy {
        deny: vec![name.to_owned()],
        ..SeccompPolicy::default()
    }
}

#[test]
fn refuses_the_same_on_both_sets_of_numbers() {
    let program = x86(&SeccompPolicy::default());
    for name in DENIED {
        for (arch, column) in [(X86_64, 1), (I386, 2)] {
            if let table::Number::Known(number) = table::number(name, column) {
                assert_eq!(run(&program, arch, number, 0).0, NOT_IMPLEMENTED, "{name}");
            }
        }
    }
}

#[test]
fn refuses_only_forced_unmounts() {
    let program = x86(&SeccompPolicy::default());
    for (arch, number) in [(X86_64, 166), (I386, 52)] {
        assert_eq!(run(&program, arch, number, 2).0, ALLOW);
        assert_eq!(run(&program, arch, number, 3).0, DENIED_ACCESS);
    }
}

#[test]
fn refuses_x32_and_foreign_architectures() {
    let program = x86(&SeccompPolicy::default());
    assert_eq!(run(&program, X86_64, 0x4000_0000, 0).0, NOT_IMPLEMENTED);
    assert_eq!(run(&program, 0x1234, 0, 0).0, NOT_IMPLEMENTED);
}

#[test]
fn common_calls_cost_few_instructions() {
    let program = x86(&SeccompPolicy::default());
    for number in [0, 1, 39, 202, 232, 257] {
        let (verdict, steps) = run(&program, X86_64, number, 0);
        assert_eq!(verdict, ALLOW);
        assert!(steps <= 12, "call {number} takes {steps} instructions");
    }
}

#[test]
fn names_a_call_that_does_not_exist() {
    assert_eq!(
        render(&deny("fly"), &Interception::default()).unwrap_err(),
        SeccompError::UnknownCall("fly".to_owned())
    );
}

#[test]
fn off_is_no_program() {
    let policy = SeccompPolicy {
        off: true,
        ..SeccompPolicy::default()
    };
    let nothing = Interception::default();
    assert_eq!(render(&policy, &nothing).unwrap(), []);
    assert_ne!(render(&policy, &everything()).unwrap(), []);
}

#[test]
fn hands_over_what_is_asked_for_and_no_more() {
    const NOTIFY: u32 = 0x7fc0_0000;
    let program = x86_with(&SeccompPolicy::default(), &everything());
    let verdict = |arch, number, arguments| call(&program, arch, number, arguments).0;
    // mknod(2), mknodat(2): devices, of either kind, but no whiteouts, no pipes, no files.
    for (arch, plain, at) in [(X86_64, 133, 259), (I386, 14, 297)] {
        for (mode, number, expected) in [
            (0o020_644, 0x103, NOTIFY),
            (0o060_644, 0x800, NOTIFY),
            (0o060_644, 0, NOTIFY),
            (0o020_644, 0, ALLOW),
            (0o010_644, 0x103, ALLOW),
            (0o100_644, 0x103, ALLOW),
            (0o644, 0x103, ALLOW),
        ] {
            assert_eq!(verdict(arch, plain, [0, mode, number, 0]), expected);
            assert_eq!(verdict(arch, at, [0, 0, mode, number]), expected);
        }
    }
    assert_eq!(verdict(X86_64, 188, [0, 0, 0, 1]), NOTIFY);
    assert_eq!(verdict(X86_64, 188, [0, 0, 0, 20]), ALLOW);
    // mount(2): new ones, whatever their own flags are; the old magic number is no flag.
    for (flags, expected) in [
        (0, NOTIFY),
        (1 | 2 | 4 | 8, NOTIFY),
        (0xc0ed_0000, NOTIFY),
        (0xc0ed_0001, NOTIFY),
        (0xc0ed_1000, ALLOW),
        (0x20, ALLOW),
        (0x1000, ALLOW),
        (0x2000, ALLOW),
        (1 << 18, ALLOW),
        (1 << 20, ALLOW),
    ] {
        assert_eq!(
            verdict(X86_64, 165, [0, 0, 0, flags]),
            expected,
            "{flags:x}"
        );
    }
    assert_eq!(verdict(X86_64, 430, [0; 4]), NOT_IMPLEMENTED);
    assert_eq!(verdict(X86_64, 144, [0; 4]), NOTIFY);
    assert_eq!(verdict(X86_64, 99, [0; 4]), NOTIFY);
    assert_eq!(verdict(I386, 116, [0; 4]), ALLOW);
    for (arch, number, name) in [
        (X86_64, 133, "mknod"),
        (I386, 297, "mknodat"),
        (X86_64, 99, "sysinfo"),
    ] {
        assert_eq!(intercepted(arch, number), Some(name));
    }
    assert_eq!(intercepted(X86_64, 0), None);
    // A refusal is the user's wish, an interception only leave.
    let denied = x86_with(&deny("mknod"), &everything());
    assert_eq!(
        call(&denied, X86_64, 133, [0, 0o020_644, 0x103, 0]).0,
        NOT_IMPLEMENTED
    );
    let plain = x86(&SeccompPolicy::default());
    for number in 0..470 {
        assert_ne!(run(&plain, X86_64, number, 0o020_644).0, NOTIFY);
    }
}

#[test]
fn arm_programs_run_unless_a_refusal_is_unknown_there() {
    let nothing = Interception::default();
    assert!(
        rules(&SeccompPolicy::default(), &nothing, 4)
            .unwrap()
            .is_some()
    );
    assert!(rules(&deny("keyctl"), &nothing, 4).unwrap().is_none());
}

#[test]
fn errors_are_the_callers_choice() {
    let policy = SeccompPolicy {
        deny_with: vec![("mkdir".to_owned(), 1), ("kexec_load".to_owned(), 13)],
        ..SeccompPolicy::default()
    };
    let program = x86(&policy);
    assert_eq!(run(&program, X86_64, 83, 0).0, 0x0005_0001);
    assert_eq!(run(&program, X86_64, 246, 0).0, DENIED_ACCESS);
}

#[test]
fn what_is_not_on_a_list_of_allowed_calls_is_refused() {
    let policy = SeccompPolicy {
        allow: vec!["read".to_owned(), "write".to_owned()],
        ..SeccompPolicy::default()
    };
    let program = x86(&policy);
    for number in 0..470 {
        let allowed = run(&program, X86_64, number, 0).0 == ALLOW;
        assert_eq!(allowed, number < 2, "call {number}");
    }
    assert_eq!(run(&program, I386, 3, 0).0, ALLOW);
    assert_eq!(run(&program, I386, 5, 0).0, NOT_IMPLEMENTED);
}

#[test]
fn programs_of_32_bits_can_be_refused_as_a_whole() {
    let policy = SeccompPolicy {
        deny_compat: true,
        ..SeccompPolicy::default()
    };
    let program = x86(&policy);
    assert_eq!(run(&program, X86_64, 0, 0).0, ALLOW);
    assert_eq!(run(&program, I386, 3, 0).0, NOT_IMPLEMENTED);
}

#[test]
fn the_default_can_be_left_out() {
    let policy = SeccompPolicy {
        without_default: true,
        ..deny("mkdir")
    };
    let program = x86(&policy);
    assert_eq!(run(&program, X86_64, 246, 0).0, ALLOW);
    assert_eq!(run(&program, X86_64, 166, 3).0, ALLOW);
    assert_eq!(run(&program, X86_64, 83, 0).0, NOT_IMPLEMENTED);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn refuses_exactly_what_is_listed(denied in proptest::collection::btree_set(0u32..470, 0..200)) {
        let names: Vec<String> = include_str!("syscalls.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter(|line| {
                let number = line.split('\t').nth(1).and_then(|field| field.parse().ok());
                number.is_some_and(|number: u32| denied.contains(&number))
            })
            .filter_map(|line| line.split('\t').next().map(str::to_owned))
            .collect();
        let policy = SeccompPolicy { deny: names.clone(), ..SeccompPolicy::default() };
        let program = x86(&policy);
        let listed: Vec<_> = names
            .iter()
            .map(String::as_str)
            .chain(DENIED)
            .map(|name| table::number(name, 1))
            .collect();
        for number in 0..470 {
            let listed = listed.contains(&table::Number::Known(number));
            let (verdict, _) = run(&program, X86_64, number, 0);
            prop_assert_eq!(verdict == NOT_IMPLEMENTED, listed, "call {}", number);
        }
    }
}
