//! Settings to look at: what is in force (`flk config`), and the reference of all there are.
//! Secrets are masked before they come here.

use std::fmt::{self, Write as _};

use flk_contract::{Key, LogTime};
use serde::Serialize;

use super::{
    Settings,
    definitions::{self, Group},
    source::Source,
};

/// One setting, as it is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The heading that it stands under.
    pub group: &'static str,
    /// Its name in the environment.
    pub name: &'static str,
    /// Its flag; secrets have none.
    pub flag: Option<String>,
    /// The value in force, `***` for a secret; empty where nobody gave one and there is no default.
    pub value: String,
    /// Where the value came from.
    pub source: Source,
    /// What the setting is.
    pub help: &'static str,
}

/// One key, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRow {
    /// The name that results carry.
    pub id: String,
    /// Whose key it is.
    pub tenant: String,
    /// `hmac` or `ed25519`.
    pub alg: &'static str,
    /// The first log time at which it holds.
    pub not_before: Option<LogTime>,
    /// The first log time at which it no longer does.
    pub not_after: Option<LogTime>,
}

impl From<&Key> for KeyRow {
    fn from(key: &Key) -> Self {
        Self {
            id: key.id().to_string(),
            tenant: key.tenant().to_string(),
            alg: key.algorithm().as_str(),
            not_before: key.window().not_before,
            not_after: key.window().not_after,
        }
    }
}

/// What is in force. As text by [`Display`](fmt::Display), as JSON by [`Table::to_json`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Every setting, in the order of the help.
    pub settings: Vec<Row>,
    /// Every key.
    pub keys: Vec<KeyRow>,
    /// What is allowed, but perhaps not meant.
    pub warnings: Vec<String>,
}

impl Settings {
    /// What is in force, secrets masked.
    pub fn table(&self) -> Table {
        Table {
            settings: self.rows.clone(),
            keys: self.signatures().into_iter().flat_map(|of| of.keys.iter()).map(KeyRow::from).collect(),
            warnings: self.warnings.clone(),
        }
    }

    /// Where the value of a setting came from, by its name in the environment.
    pub fn source_of(&self, name: &str) -> Option<Source> {
        self.rows.iter().find(|row| row.name == name).map(|row| row.source)
    }
}

impl Table {
    /// For scripts.
    pub fn to_json(&self) -> String {
        // Strings and times always serialise.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = width(self.settings.iter().map(|row| row.name));
        let value = width(self.settings.iter().map(|row| row.value.as_str())).min(40);
        let has = |group: &Group| self.settings.iter().any(|row| row.group == group.heading());
        for (index, group) in Group::ALL.into_iter().filter(has).enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            writeln!(f, "{gap}{}", group.heading())?;
            for row in self.settings.iter().filter(|row| row.group == group.heading()) {
                let shown = if row.value.is_empty() { "-".to_owned() } else { printable(&row.value) };
                let source = row.source.as_str();
                let flag = row.flag.as_deref().unwrap_or_default();
                writeln!(f, "{}", format!("  {:name$}  {shown:value$}  {source:7}  {flag}", row.name).trim_end())?;
            }
            if group == Group::Signing {
                for key in &self.keys {
                    write!(f, "  key {} of tenant {}, {}", key.id, key.tenant, key.alg)?;
                    if let Some(from) = key.not_before {
                        write!(f, ", from {from}")?;
                    }
                    if let Some(to) = key.not_after {
                        write!(f, ", before {to}")?;
                    }
                    writeln!(f)?;
                }
            }
        }
        for (index, warning) in self.warnings.iter().enumerate() {
            let gap = if index == 0 { "\n" } else { "" };
            writeln!(f, "{gap}warning: {warning}")?;
        }
        Ok(())
    }
}

fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// Without what would move the cursor of a terminal.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// The reference of all settings, as Markdown: a table a heading.
pub fn reference_markdown() -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{}`", cell(text)) };
    let mut text = String::new();
    for group in Group::ALL {
        // Writing to memory does not fail.
        let _ =
            write!(text, "#### {}\n\n| Environment | Flag | Default | What, and why to change it |\n", group.heading());
        text.push_str("|---|---|---|---|\n");
        for setting in definitions::ALL.iter().filter(|setting| setting.group == group) {
            let flag = setting.flag().map(|flag| format!("--{flag}")).unwrap_or_default();
            let default = match setting.fallback {
                definitions::Fallback::Words(words) => cell(words),
                _ => code(setting.fallback_text()),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {default} | {}. {} |",
                code(setting.name),
                code(&flag),
                cell(setting.what),
                cell(setting.why)
            );
        }
        text.push('\n');
    }
    text.push_str(
        "Every name of the environment can also be given with `_FILE` appended: the path of a file that holds the \
         value (one final line end is dropped). A flag wins over the environment. What has no flag is a secret.\n",
    );
    text
}
