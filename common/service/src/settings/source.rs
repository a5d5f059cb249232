//! Where a value comes from: a flag, the environment, a file that the environment names, or the
//! default; in this order.

use core::fmt::Display;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    SettingsError,
    definitions::{Definition, Fallback, Kind},
    secret::MASK,
};

/// The largest file that holds a value or keys.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Nobody gave one.
    Default,
    /// The command line.
    Flag,
    /// The environment: `NAME`.
    Env,
    /// A file: `NAME_FILE`.
    File,
}

impl Source {
    /// The word in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Flag => "flag",
            Self::Env => "env",
            Self::File => "file",
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) setting: &'static Definition,
    pub(super) value: Zeroizing<String>,
    pub(super) source: Source,
}

impl Found {
    /// What to change, as it was given: `--port`, `PORT` or `PORT_FILE`.
    pub(super) fn given_as(&self) -> String {
        match (self.source, self.setting.flag()) {
            (Source::Flag, Some(flag)) => format!("--{flag}"),
            (Source::File, _) => file_name(self.setting.name),
            _ => self.setting.name.to_owned(),
        }
    }

    /// A sentence about this setting: `NAME is "value", but {must}`. A secret is not quoted.
    pub(super) fn refuse(&self, must: impl Display) -> SettingsError {
        let sentence = match self.setting.kind {
            Kind::Open(_) => {
                format!("{} is {}, but {must}", self.given_as(), quoted(&without_password(&self.value)))
            }
            Kind::Secret => format!("{} {must}", self.given_as()),
        };
        SettingsError::new(self.setting.name, sentence)
    }

    /// The value as something usable; `parse` says what it must be.
    pub(super) fn parse<T, E: Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, SettingsError> {
        parse(&self.value).map_err(|must| self.refuse(must))
    }
}

/// A URL, or what is meant to be one, without the password in it.
pub(super) fn without_password(text: &str) -> Cow<'_, str> {
    let begins = text.find("://").map_or(0, |at| at + 3);
    let parts = || {
        let (scheme, rest) = text.split_at_checked(begins)?;
        let (login, host) = rest.rsplit_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some((scheme, user, host))
    };
    match parts() {
        Some((scheme, user, host)) => Cow::Owned(format!("{scheme}{user}:{MASK}@{host}")),
        None => Cow::Borrowed(text),
    }
}

/// A value for a sentence: bounded, and without control characters.
fn quoted(value: &str) -> String {
    const SHOWN: usize = 64;
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", value.get(..end).unwrap_or_default()),
        None => format!("{value:?}"),
    }
}

fn file_name(name: &str) -> String {
    format!("{name}_FILE")
}

/// Everything that was given, to be asked setting by setting.
pub(super) struct Given<'a> {
    pub(super) flags: &'a BTreeMap<&'static str, OsString>,
    pub(super) env: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Given<'_> {
    /// The value of a setting; `None` where nobody gave one and there is no default value.
    pub(super) fn find(&self, setting: &'static Definition) -> Result<Option<Found>, SettingsError> {
        let found = |value, source| Some(Found { setting, value, source });
        let from_env = from_env(setting.name, self.env);
        if let Some(value) = self.flags.get(setting.name) {
            // Two values in the environment are ambiguous, whether a flag wins or not.
            from_env?;
            let flag = format!("--{}", setting.flag().unwrap_or(setting.name));
            return Ok(found(text(setting.name, &flag, value.clone())?, Source::Flag));
        }
        if let Some((value, source)) = from_env? {
            return Ok(found(value, source));
        }
        Ok(match setting.fallback {
            Fallback::Value(value) => found(Zeroizing::new(value.to_owned()), Source::Default),
            Fallback::Words(_) | Fallback::Unset => None,
        })
    }
}

/// Reads `NAME`, or the file that `NAME_FILE` names, without one final line end. Empty is the same
/// as not set: that is how compose files and manifests leave a setting out.
///
/// # Errors
/// [`SettingsError`] where both are set, or the file can not be read, is empty, too large or not
/// UTF-8.
pub fn from_env(
    name: &str,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<(Zeroizing<String>, Source)>, SettingsError> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let file_name = file_name(name);
    match (set(name), set(&file_name)) {
        (Some(_), Some(_)) => Err(SettingsError::new(
            name,
            format!("{name} and {file_name} are both set; unset one, so that it is clear which holds"),
        )),
        (Some(value), None) => Ok(Some((text(name, name, value)?, Source::Env))),
        (None, Some(path)) => match read(Path::new(&path)) {
            Ok(value) => Ok(Some((value, Source::File))),
            Err(why) => Err(SettingsError::new(name, format!("{file_name} names the file {}, {why}", shown(&path)))),
        },
        (None, None) => Ok(None),
    }
}

fn text(name: &str, given_as: &str, value: OsString) -> Result<Zeroizing<String>, SettingsError> {
    let not_text = |_| SettingsError::new(name, format!("{given_as} is not UTF-8; give it as UTF-8 text"));
    value.into_string().map(Zeroizing::new).map_err(not_text)
}

/// A path for a sentence.
pub(super) fn shown(path: &OsStr) -> String {
    quoted(&path.to_string_lossy())
}

/// What a file holds, without one final line end; or what is wrong with it, as the end of a
/// sentence about it.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read =
        |into: &mut Vec<u8>| -> io::Result<usize> { File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(into) };
    let length = read(&mut bytes).map_err(|error| format!("which can not be read: {error}"))?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(format!("which has more than {FILE_BYTES_MAX} bytes; is it the right one?"));
    }
    let text = core::str::from_utf8(&bytes).map_err(|_| "which is not UTF-8; is it the right one?".to_owned())?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return Err("which is empty; write the value into it".to_owned());
    }
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{super::definitions, *};

    fn found(
        setting: &'static Definition,
        flag: Option<&str>,
        env: &[(&str, &str)],
    ) -> Result<Option<(String, Source)>, String> {
        let flags = flag.map(|value| (setting.name, OsString::from(value))).into_iter().collect();
        let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let found = Given { flags: &flags, env: &env }.find(setting).map_err(|error| error.to_string())?;
        Ok(found.map(|found| (found.value.to_string(), found.source)))
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_default() {
        let port = &definitions::PORT;
        assert_eq!(found(port, Some("1"), &[("PORT", "2")]), Ok(Some(("1".into(), Source::Flag))));
        assert_eq!(found(port, None, &[("PORT", "2")]), Ok(Some(("2".into(), Source::Env))));
        assert_eq!(found(port, None, &[]), Ok(Some(("8080".into(), Source::Default))));
        assert_eq!(found(port, None, &[("PORT", ""), ("PORT_FILE", "")]), Ok(Some(("8080".into(), Source::Default))));
        assert_eq!(found(&definitions::HMAC_KEY, None, &[]), Ok(None));
    }

    #[test]
    fn a_file_gives_the_value_without_one_final_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for (content, expected) in [("a b", "a b"), ("k\n", "k"), ("k\r\n", "k"), ("k\n\n", "k\n"), (" k \n", " k ")] {
            std::fs::write(&path, content).unwrap();
            let env = [("PCS_HMAC_KEY_FILE", path.to_str().unwrap()), ("PCS_HMAC_KEY", "")];
            assert_eq!(
                found(&definitions::HMAC_KEY, None, &env),
                Ok(Some((expected.into(), Source::File))),
                "{content:?}"
            );
        }
    }

    #[test]
    fn a_file_that_gives_no_value_is_refused_by_setting_and_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("empty"), "\n").unwrap();
        std::fs::write(path("latin1"), [b'k', 0xff]).unwrap();
        std::fs::write(path("large"), vec![b'k'; FILE_BYTES_MAX as usize + 1]).unwrap();
        for (name, why) in [
            ("missing", "can not be read"),
            ("", "can not be read"),
            ("empty", "is empty"),
            ("latin1", "not UTF-8"),
            ("large", "more than 1048576 bytes"),
        ] {
            let error = found(&definitions::HMAC_KEY, None, &[("PCS_HMAC_KEY_FILE", &path(name))]).unwrap_err();
            assert!(error.starts_with("PCS_HMAC_KEY_FILE names the file ") && error.contains(why), "{error}");
            assert!(!error.contains("kkk"), "{error}");
        }
    }

    #[test]
    fn a_name_and_its_file_are_not_both_taken_even_where_a_flag_wins() {
        for flag in [None, Some("1")] {
            let error = found(&definitions::PORT, flag, &[("PORT", "2"), ("PORT_FILE", "/x")]).unwrap_err();
            assert!(error.contains("PORT and PORT_FILE are both set"), "{error}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        for (text, shown) in [
            ("redis://u:hunter2@h:1/0", "redis://u:***@h:1/0"),
            ("rediss://:hunter@2@h", "rediss://:***@h"),
            ("u:hunter2@h:1", "u:***@h:1"),
            ("redis://h:1", "redis://h:1"),
            ("h:1", "h:1"),
        ] {
            assert_eq!(without_password(text), shown);
        }
        let value = Zeroizing::new("redis://u:hunter2@h".to_owned());
        let found = Found { setting: &definitions::REDIS_ADDR, value, source: Source::Env };
        assert!(!found.refuse("must be else").to_string().contains("hunter"));
    }

    #[test]
    fn values_are_quoted_short_and_secrets_not_at_all() {
        let refuse = |setting: &'static Definition, value: &str| {
            let value = Zeroizing::new(value.to_owned());
            Found { setting, value, source: Source::Env }.refuse("must be else").to_string()
        };
        assert_eq!(refuse(&definitions::PORT, "a\u{1b}b"), r#"PORT is "a\u{1b}b", but must be else"#);
        assert!(refuse(&definitions::PORT, &"ü".repeat(1000)).len() < 200);
        assert_eq!(refuse(&definitions::HMAC_KEY, "hunter2"), "PCS_HMAC_KEY must be else");
    }
}
