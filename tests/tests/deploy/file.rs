//! `compose.yml`, read as Compose does: merged, with defaults for what comes from outside.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use flk_tests::root;
use serde_json::{Map, Value};

/// Where Compose puts the secrets of a service.
pub(crate) const SECRETS: &str = "/run/secrets/";

/// The file.
pub(crate) struct Compose(Value);

impl Compose {
    pub(crate) fn read() -> Self {
        let text = text("compose.yml");
        let mut plain = String::new();
        let mut rest = text.as_str();
        while let Some((before, asked)) = rest.split_once("${") {
            let (asked, after) = asked.split_once('}').unwrap();
            let (name, default) =
                asked.split_once(":-").unwrap_or_else(|| panic!("${{{asked}}}: a newcomer has not set it"));
            assert!(name.starts_with("FLK_") && name.ends_with("_PORT"), "{name}: ports alone come from outside");
            plain.extend([before, default]);
            rest = after;
        }
        plain.push_str(rest);
        Self(serde_saphyr::from_str(&plain).unwrap_or_else(|error| panic!("compose.yml: {error}")))
    }

    /// A part of the file by the name of its heading.
    pub(crate) fn part(&self, name: &str) -> &Map<String, Value> {
        self.0[name].as_object().unwrap_or_else(|| panic!("compose.yml has no {name}"))
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = Service<'_>> {
        self.part("services").iter().map(|(name, value)| Service { name, value })
    }

    pub(crate) fn service(&self, name: &str) -> Service<'_> {
        self.services().find(|service| service.name == name).unwrap_or_else(|| panic!("no service {name}"))
    }
}

/// One service of it.
#[derive(Clone, Copy)]
pub(crate) struct Service<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a Value,
}

impl<'a> Service<'a> {
    /// A list of words; empty where there is none.
    pub(crate) fn list(self, name: &str) -> Vec<&'a str> {
        let list = self.value[name].as_array().map_or(&[][..], Vec::as_slice);
        list.iter().map(|word| word.as_str().unwrap_or_else(|| panic!("{}: {name}: {word}", self.name))).collect()
    }

    /// A text.
    pub(crate) fn text(self, name: &str) -> &'a str {
        self.value[name].as_str().unwrap_or_else(|| panic!("{}: no {name}", self.name))
    }

    pub(crate) fn environment(self) -> BTreeMap<&'a str, &'a str> {
        let Some(environment) = self.value["environment"].as_object() else { return BTreeMap::new() };
        let text = |(name, value): (&'a String, &'a Value)| {
            let value = value.as_str().unwrap_or_else(|| panic!("{}: {name}: quote it: {value}", self.name));
            (name.as_str(), value)
        };
        environment.iter().map(text).collect()
    }

    /// Whether it runs the program.
    pub(crate) fn is_flk(self) -> bool {
        self.text("image").starts_with("flk:")
    }

    /// Whether it ends when it has done its work.
    pub(crate) fn is_one_shot(self) -> bool {
        self.text("restart") == "no"
    }

    /// What it waits for, and for what of it.
    pub(crate) fn depends_on(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let on = self.value["depends_on"].as_object().into_iter().flatten();
        on.map(|(name, how)| (name.as_str(), how["condition"].as_str().unwrap_or_default()))
    }
}

/// A file of the repository.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Makes the secrets, as a newcomer does; what was said.
pub(crate) fn make_secrets(directory: &Path) -> String {
    let script = root().join("deploy/compose/make-secrets");
    let made = Command::new(script).arg(directory).stdin(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}
