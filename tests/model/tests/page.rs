//! `docs/model.md` names every rule, as it is said here.

use std::{fs, path::Path};

use flk_model::rules::{Kind, Rule};

const BEGIN: &str = "<!-- rules:begin -->\n";
const END: &str = "<!-- rules:end -->";

fn table() -> String {
    let mut table = "\n| switch | rule |\n|---|---|\n".to_owned();
    let mut kind = None;
    for rule in Rule::ALL {
        if kind != Some(rule.kind()) {
            kind = Some(rule.kind());
            let about = match rule.kind() {
                Kind::Index => "the index",
                Kind::Fold => "the fold",
                Kind::Effects => "effects",
                Kind::Topics => "topics",
                Kind::ReadSide => "the read side",
                Kind::World => "the world: assumptions",
            };
            table += &format!("| **{about}** | |\n");
        }
        table += &format!("| `{rule:?}` | {} |\n", rule.says());
    }
    table + "\n"
}

/// `UPDATE_MODEL=1 cargo test -p flk-model --test page` writes it anew.
#[test]
fn the_page_lists_the_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/model.md");
    let text = fs::read_to_string(&path).expect("docs/model.md is there");
    let (before, rest) = text.split_once(BEGIN).expect("the begin of the rules is marked");
    let (said, after) = rest.split_once(END).expect("the end of the rules is marked");
    if std::env::var_os("UPDATE_MODEL").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table())).expect("docs/model.md can be written");
        return;
    }
    assert_eq!(said, table(), "UPDATE_MODEL=1 cargo test -p flk-model --test page writes it anew");
}
