//! The documents keep up with the code: links resolve, and tests and items that are named exist.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can not go on has failed")]

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

/// The document whose claims are proved by the tests that it names.
const THREATS: &str = "docs/threat-model.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A document, its fenced code left out.
struct Document {
    /// Relative to the root.
    path: PathBuf,
    /// With their numbers, from 1.
    lines: Vec<(usize, String)>,
}

impl Document {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut fenced = false;
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            if !fenced && !fence {
                lines.push((number, line.to_owned()));
            }
        }
        assert!(!fenced, "{}: a fence is not closed", path.display());
        Self { path: path.to_owned(), lines }
    }

    /// All that people read: at the root and under docs.
    fn all() -> Vec<Self> {
        let mut found: Vec<PathBuf> =
            ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(PathBuf::from).into();
        let mut directories = vec![PathBuf::from("docs")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(root().join(&directory)).unwrap() {
                let path = directory.join(entry.unwrap().file_name());
                if root().join(&path).is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "md") {
                    found.push(path);
                }
            }
        }
        found.iter().map(|path| Self::read(path)).collect()
    }

    /// What stands in backticks, with the number of its line.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines.iter().flat_map(|(number, line)| line.split('`').skip(1).step_by(2).map(move |code| (*number, code)))
    }

    /// Targets of links.
    fn links(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines.iter().flat_map(|(number, line)| {
            line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(move |target| (*number, target))
        })
    }

    /// Anchors of its headings, as they are made from their text.
    fn anchors(&self) -> HashSet<String> {
        let slug = |heading: &str| {
            let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
        };
        let headings = self.lines.iter().filter(|(_, line)| line.starts_with('#'));
        headings.map(|(_, line)| slug(line.trim_start_matches('#'))).collect()
    }
}

/// `path.rs::name`, if a piece of code is that.
fn reference(code: &str) -> Option<(&str, &str)> {
    let (path, name) = code.split_once("::")?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (path.ends_with(".rs") && path.contains('/') && !name.is_empty() && name.chars().all(word)).then_some((path, name))
}

fn source(path: &str) -> Result<String, String> {
    fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))
}

/// Whether a source says `keyword name`, and the name ends there.
fn declares(source: &str, keyword: &str, name: &str) -> bool {
    let declaration = format!("{keyword} {name}");
    source.match_indices(&declaration).any(|(at, _)| {
        let before = source[..at].chars().next_back();
        let after = source[at + declaration.len()..].chars().next();
        let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !part(before) && !part(after)
    })
}

fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_relative_link_of_the_documents_resolves() {
    let mut broken = Vec::new();
    for document in Document::all() {
        for (line, target) in document.links() {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
            let to = match path {
                "" => document.path.clone(),
                path => document.path.parent().unwrap_or(Path::new("")).join(path),
            };
            let there = root().join(&to).exists();
            let anchored = there && anchor.is_none_or(|anchor| Document::read(&to).anchors().contains(anchor));
            if !there || !anchored {
                broken.push(format!("{}:{line}: {target} leads nowhere", document.path.display()));
            }
        }
    }
    none(broken);
}

#[test]
fn every_item_and_file_that_the_documents_name_exists() {
    let mut missing = Vec::new();
    for document in Document::all() {
        for (line, code) in document.code() {
            let place = format!("{}:{line}", document.path.display());
            if let Some((path, name)) = reference(code) {
                const KEYWORDS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod"];
                match source(path) {
                    Err(error) => missing.push(format!("{place}: {error}")),
                    Ok(source) if KEYWORDS.iter().any(|keyword| declares(&source, keyword, name)) => {}
                    Ok(_) => missing.push(format!("{place}: {path} has no item {name}")),
                }
            } else if code.contains('/')
                && [".rs", ".md", ".py", ".toml"].iter().any(|end| code.ends_with(end))
                && !code.contains([' ', '*'])
                && !root().join(code).exists()
            {
                missing.push(format!("{place}: {code} is not there"));
            }
        }
    }
    none(missing);
}

#[test]
fn every_threat_names_tests_and_they_exist() {
    let document = Document::read(Path::new(THREATS));
    let (mut wrong, mut rows) = (Vec::new(), 0);
    for (line, code) in document.code() {
        if let Some((path, name)) = reference(code) {
            match source(path) {
                Err(error) => wrong.push(format!("{THREATS}:{line}: {error}")),
                Ok(source) if declares(&source, "fn", name) => {}
                Ok(_) => wrong.push(format!("{THREATS}:{line}: {path} has no test {name}")),
            }
        }
    }
    for (line, text) in &document.lines {
        let head = text.starts_with("| threat") || text.starts_with("|---");
        if text.starts_with('|') && !head {
            rows += 1;
            if !text.split('`').skip(1).step_by(2).any(|code| reference(code).is_some()) {
                wrong.push(format!("{THREATS}:{line}: the threat names no test"));
            }
        }
    }
    none(wrong);
    assert!(rows > 0, "{THREATS} has no rows");
}

/// `UPDATE_README=1 cargo test -p flk-tests --test docs` writes it anew.
#[test]
fn the_settings_of_the_readme_are_those_of_the_service() {
    const BEGIN: &str = "<!-- settings:begin -->\n";
    const END: &str = "<!-- settings:end -->";
    let path = root().join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the begin of the settings is marked");
    let (said, after) = rest.split_once(END).expect("the end of the settings is marked");
    let expected = format!("\n{}\n", flk_service::settings::reference_markdown());
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(said, expected, "UPDATE_README=1 cargo test -p flk-tests --test docs writes them anew");
}
