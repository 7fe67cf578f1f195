//! What stands before the word that is completed.

use clap::{Arg, Command};

/// What stands before the word that is completed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Typed {
    /// The words that are no verbs, no options and no values of options.
    pub(super) words: Vec<String>,
    /// The value of `--project`.
    pub(super) project: Option<String>,
}

impl Typed {
    /// As the shell's script hands it over: `rlxc -- rlxc WORD…`, and by its number which word is completed, or the last.
    pub(super) fn before(command: &Command) -> Self {
        let line = std::env::args().skip_while(|word| word != "--").skip(1);
        let line: Vec<String> = line.collect();
        let index = std::env::var("_CLAP_COMPLETE_INDEX")
            .ok()
            .and_then(|index| index.parse().ok())
            .unwrap_or(line.len().saturating_sub(1));
        let before = line.get(1..index.min(line.len())).unwrap_or_default();
        let mut command = command.clone();
        command.build();
        Self::read(&command, before)
    }

    /// The first word.
    pub(super) fn first(&self) -> Option<&str> {
        self.words.first().map(String::as_str)
    }

    fn read(root: &Command, line: &[String]) -> Self {
        let mut typed = Self::default();
        let mut command = root;
        let mut line = line.iter();
        while let Some(word) = line.next() {
            if let Some(project) = word.strip_prefix("--project=") {
                typed.project = Some(project.to_owned());
            } else if word.starts_with('-') {
                let mut all = command.get_arguments().chain(root.get_arguments());
                if all.any(|arg| is_meant(arg, word) && arg.get_action().takes_values()) {
                    let value = line.next();
                    if word == "--project" {
                        typed.project = value.cloned();
                    }
                }
            } else if let Some(sub) = command
                .find_subcommand(word)
                .filter(|_| typed.words.is_empty())
            {
                command = sub;
            } else {
                typed.words.push(word.clone());
            }
        }
        typed
    }
}

/// Whether an option was typed as `word`, with its value in the next one.
fn is_meant(arg: &Arg, word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg
            .get_short()
            .is_some_and(|short| word == format!("-{short}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn options_and_verbs_are_left_out() {
        let mut command = crate::cli::Cli::command();
        command.build();
        let read = |line: &str| {
            let line: Vec<String> = line.split(' ').map(str::to_owned).collect();
            Typed::read(&command, &line)
        };
        let typed = read("--project team -q config get -e list");
        assert_eq!(typed.words, ["list"]);
        assert_eq!(typed.project.as_deref(), Some("team"));
        assert_eq!(read("launch -p web bb -n lan").words, ["bb"]);
    }
}
