//! What the command line said, before anybody judged it.
//!
//! The flags are made from [`super::definitions`]. clap is told the environment's names too, for
//! the help; what it read there is left out here, because the environment is read in one place
//! ([`super::source`]), which also knows `NAME_FILE` and tests without an environment.

use core::marker::PhantomData;
use std::{collections::BTreeMap, ffi::OsString, fmt::Write as _};

use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches, parser::ValueSource, value_parser};

use super::{
    definitions::{self, Definition, Fallback, Kind},
    role::{Everything, Which},
};

/// The flags that were given; to be flattened into a command's arguments. The help of the secrets,
/// which have no flag, is what the command says after its help: it must not say anything else there.
#[derive(Debug)]
pub struct Flags<W> {
    pub(super) given: BTreeMap<&'static str, OsString>,
    which: PhantomData<W>,
}

/// The flags of a service.
pub type Raw = Flags<Everything>;

impl<W> Clone for Flags<W> {
    fn clone(&self) -> Self {
        Self { given: self.given.clone(), which: PhantomData }
    }
}

impl<W> Default for Flags<W> {
    fn default() -> Self {
        Self { given: BTreeMap::new(), which: PhantomData }
    }
}

fn chosen<W: Which>() -> impl Iterator<Item = &'static Definition> {
    definitions::ALL.iter().filter(|setting| W::has(setting))
}

fn arg(setting: &Definition, flag: &'static str) -> Arg {
    let default = match setting.fallback {
        Fallback::Words(words) => format!(" [default: {words}]"),
        Fallback::Value(_) | Fallback::Unset => String::new(),
    };
    let arg = Arg::new(setting.name)
        .long(flag)
        .env(setting.name)
        .hide_env_values(true)
        .value_name(setting.value)
        .value_parser(value_parser!(OsString))
        .help_heading(setting.group.heading())
        .help(format!("{}{default}", setting.what))
        .long_help(format!("{}.\n\n{}{default}", setting.what, setting.why));
    match setting.fallback {
        Fallback::Value(value) => arg.default_value(value),
        Fallback::Words(_) | Fallback::Unset => arg,
    }
}

/// What the help says of settings that have no flag, in short and in full.
fn secrets<W: Which>() -> Option<(String, String)> {
    let secrets: Vec<_> = chosen::<W>().filter(|setting| setting.kind == Kind::Secret).collect();
    // The one that most people meet, as the example.
    let first = secrets.iter().find(|setting| setting.name == definitions::HMAC_KEY.name).or(secrets.first())?;
    let names: Vec<_> = secrets.iter().map(|setting| setting.name).collect();
    let short = format!("Secrets come from the environment only: {} (see --help).", names.join(", "));
    let mut long = "Secrets (from the environment only: every user of a machine sees command lines):\n".to_owned();
    for setting in &secrets {
        // Writing to memory does not fail.
        let _ = write!(long, "  {}\n          {}. {}\n\n", setting.name, setting.what, setting.why);
    }
    let _ = write!(
        long,
        "Every name of the environment can also be given with _FILE appended, as {}_FILE: the path of a file that \
         holds the value (one final line end is dropped). A flag wins over the environment.",
        first.name
    );
    Some((short, long))
}

impl<W: Which> Args for Flags<W> {
    fn augment_args(mut command: Command) -> Command {
        for setting in chosen::<W>() {
            if let Some(flag) = setting.flag() {
                command = command.arg(arg(setting, flag));
            }
        }
        match secrets::<W>() {
            Some((short, long)) => command.after_help(short).after_long_help(long),
            None => command,
        }
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<W: Which> FromArgMatches for Flags<W> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for setting in chosen::<W>().filter(|setting| setting.flag().is_some()) {
            if matches.value_source(setting.name) == Some(ValueSource::CommandLine)
                && let Some(value) = matches.get_one::<OsString>(setting.name)
            {
                self.given.insert(setting.name, value.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::{
        super::{definitions::Group, role::DataDirOnly},
        *,
    };

    #[derive(Debug, Parser)]
    #[command(name = "serve")]
    struct Serve {
        #[command(flatten)]
        raw: Raw,
    }

    #[derive(Debug, Parser)]
    #[command(name = "stat")]
    struct Stat {
        #[command(flatten)]
        flags: Flags<DataDirOnly>,
    }

    fn help<P: Parser>() -> String {
        P::command().render_long_help().to_string()
    }

    #[test]
    fn only_what_the_command_line_said_is_taken() {
        let given = Serve::try_parse_from(["serve", "--port", "0", "--data-dir", "d"]).unwrap().raw.given;
        let given: Vec<_> = given.iter().map(|(name, value)| (*name, value.to_str().unwrap())).collect();
        assert_eq!(given, [("PORT", "0"), ("WAL_DIR", "d")]);
    }

    #[test]
    fn help_names_every_setting_with_its_default_under_its_heading() {
        Serve::command().debug_assert();
        let help = help::<Serve>();
        // Long ones go on in the next line.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let flowing = words(&help);
        for setting in definitions::ALL {
            assert!(help.contains(setting.name), "{} in\n{help}", setting.name);
            if let Some(flag) = setting.flag() {
                assert!(help.contains(&format!("--{flag} <")), "--{flag} in\n{help}");
                assert!(help.contains(&format!("[env: {}]", setting.name)), "{} in\n{help}", setting.name);
            }
            if setting.fallback != Fallback::Unset {
                let default = format!("[default: {}]", setting.fallback_text());
                assert!(flowing.contains(&default), "{}\n{help}", setting.name);
            }
        }
        for group in Group::ALL {
            assert!(help.contains(&format!("{}:\n", group.heading())), "{}", group.heading());
        }
        assert!(help.contains("PCS_HMAC_KEY_FILE"), "{help}");
    }

    #[test]
    fn no_secret_has_a_flag() {
        for setting in definitions::ALL.iter().filter(|setting| setting.kind == Kind::Secret) {
            let flag = format!("--{}", setting.name.to_ascii_lowercase().replace('_', "-"));
            assert!(Serve::try_parse_from(["serve", &flag, "x"]).is_err(), "{flag}");
        }
        assert!(Serve::try_parse_from(["serve", "--hmac-key", "x"]).is_err());
    }

    #[test]
    fn a_command_has_only_the_settings_that_it_needs() {
        let help = help::<Stat>();
        assert!(help.contains("--data-dir") && !help.contains("--port") && !help.contains("PCS_HMAC_KEY"), "{help}");
        assert!(Stat::try_parse_from(["stat", "--port", "1"]).is_err());
        // It makes no directory, so it does not say that it does.
        assert!(!Stat::command().render_help().to_string().contains("made"), "{help}");
        assert!(help.contains("every other command needs one"), "{help}");
        let given = Stat::try_parse_from(["stat", "--data-dir", "d"]).unwrap().flags.given;
        assert_eq!(given.len(), 1);
    }
}
