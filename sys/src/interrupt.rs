//! Long work that may be broken off. Whoever runs it says how to find out ([`scope`]); the places where its time goes ask
//! ([`check`]), so that nothing in between has to pass it on. It holds for one thread.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use rustix::io::Errno;

type Question = Rc<dyn Fn() -> bool>;

thread_local! {
    static ASKED: RefCell<Option<Question>> = const { RefCell::new(None) };
}

/// Puts back what held before.
struct Before(Option<Question>);

impl Drop for Before {
    fn drop(&mut self) {
        ASKED.set(self.0.take());
    }
}

/// Does `work`, which ends early once `is_asked` says so.
pub fn scope<T>(is_asked: impl Fn() -> bool + 'static, work: impl FnOnce() -> T) -> T {
    let _before = Before(ASKED.replace(Some(Rc::new(is_asked))));
    work()
}

/// Whether this thread's work may be broken off at all.
pub fn is_possible() -> bool {
    ASKED.with_borrow(Option::is_some)
}

/// Fails with `ECANCELED` if this thread's work is to end.
pub fn check() -> io::Result<()> {
    let question = ASKED.with_borrow(Clone::clone);
    match question {
        Some(is_asked) if is_asked() => Err(Errno::CANCELED.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_for_the_work_and_no_longer() {
        assert!(!is_possible() && check().is_ok());
        scope(
            || true,
            || {
                assert!(is_possible() && check().is_err());
                scope(|| false, || assert!(check().is_ok()));
                let error = check().unwrap_err();
                assert_eq!(error.raw_os_error(), Some(Errno::CANCELED.raw_os_error()));
                std::thread::spawn(|| assert!(check().is_ok()))
                    .join()
                    .unwrap();
            },
        );
        assert!(check().is_ok());
    }
}
