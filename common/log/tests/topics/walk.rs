//! A walk over a value and its JSON Schema, for the keywords that our schemas use. A keyword that it does not
//! know fails the test: nothing is said in a schema that is not checked.

use flk_contract::LogTime;
use serde_json::Value;

/// Where a value is not as its schema says; nowhere if it is.
pub(crate) fn wrong(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Walk { root: schema }.at("$", schema, value, &mut found);
    found
}

struct Walk<'a> {
    root: &'a Value,
}

impl Walk<'_> {
    fn at(&self, path: &str, schema: &Value, value: &Value, found: &mut Vec<String>) {
        let holds = |schema: &Value| {
            let mut found = Vec::new();
            self.at(path, schema, value, &mut found);
            found.is_empty()
        };
        for (keyword, says) in schema.as_object().unwrap_or_else(|| panic!("{path}: {schema} is no schema")) {
            let ok = match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" => true,
                "$ref" => holds(self.root.pointer(says.as_str().unwrap().strip_prefix('#').unwrap()).unwrap()),
                "anyOf" => list(says).iter().any(holds),
                "allOf" => list(says).iter().all(holds),
                "const" => value == says,
                "enum" => list(says).contains(value),
                "type" => match says {
                    Value::Array(types) => types.iter().any(|of| is(value, of.as_str().unwrap())),
                    of => is(value, of.as_str().unwrap()),
                },
                "required" => value
                    .as_object()
                    .is_none_or(|fields| list(says).iter().all(|name| fields.contains_key(name.as_str().unwrap()))),
                "properties" => {
                    let fields = value.as_object();
                    for (name, schema) in says.as_object().unwrap() {
                        if let Some(value) = fields.and_then(|fields| fields.get(name)) {
                            self.at(&format!("{path}.{name}"), schema, value, found);
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    assert!(!schema.as_object().unwrap().contains_key("properties"), "not walked together");
                    for (name, value) in value.as_object().into_iter().flatten() {
                        self.at(&format!("{path}.{name}"), says, value, found);
                    }
                    true
                }
                "items" => {
                    for value in value.as_array().into_iter().flatten() {
                        self.at(&format!("{path}[]"), says, value, found);
                    }
                    true
                }
                "minItems" => value.as_array().is_none_or(|items| items.len() >= size(says)),
                "maxItems" => value.as_array().is_none_or(|items| items.len() <= size(says)),
                "maxProperties" => value.as_object().is_none_or(|fields| fields.len() <= size(says)),
                "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= size(says)),
                "maxLength" => value.as_str().is_none_or(|text| text.chars().count() <= size(says)),
                "minimum" => value.as_i64().is_none_or(|number| number >= says.as_i64().unwrap()),
                "maximum" => value.as_i64().is_none_or(|number| number <= says.as_i64().unwrap()),
                "exclusiveMinimum" => value.as_f64().is_none_or(|number| number > says.as_f64().unwrap()),
                "exclusiveMaximum" => value.as_f64().is_none_or(|number| number < says.as_f64().unwrap()),
                "pattern" => value.as_str().is_none_or(|text| matches(says.as_str().unwrap(), text)),
                "format" => {
                    assert_eq!(says, "date-time");
                    let is_time = |text: &str| LogTime::parse(text).is_ok_and(|time| time.to_string() == text);
                    value.as_str().is_none_or(is_time)
                }
                other => panic!("{path}: the keyword {other} is not walked"),
            };
            if !ok {
                found.push(format!("{path}: {value} is not {keyword} {says}"));
            }
        }
    }
}

fn list(of: &Value) -> &[Value] {
    of.as_array().unwrap()
}

fn size(of: &Value) -> usize {
    usize::try_from(of.as_u64().unwrap()).unwrap()
}

fn is(value: &Value, of: &str) -> bool {
    match of {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        other => panic!("{other} is no type"),
    }
}

/// `^`, then characters and `[classes]{at least,at most}`, then `$`. Each takes as many as there are: no
/// pattern of ours goes on with a character that the class before could have had, beyond a fixed count.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pattern = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')).unwrap();
    let mut text = text;
    while let Some(first) = pattern.chars().next() {
        if first != '[' {
            pattern = &pattern[first.len_utf8()..];
            match text.strip_prefix(first) {
                Some(rest) => text = rest,
                None => return false,
            }
            continue;
        }
        let (class, rest) = pattern[1..].split_once("]{").unwrap();
        let (counts, rest) = rest.split_once('}').unwrap();
        let (least, most) = counts.split_once(',').unwrap_or((counts, counts));
        let (least, most): (usize, usize) = (least.parse().unwrap(), most.parse().unwrap());
        let taken: usize =
            text.chars().take(most).take_while(|c| in_class(class.as_bytes(), *c)).map(char::len_utf8).sum();
        if text[..taken].chars().count() < least {
            return false;
        }
        (text, pattern) = (&text[taken..], rest);
    }
    text.is_empty()
}

fn in_class(class: &[u8], c: char) -> bool {
    let Ok(c) = u8::try_from(c) else { return false };
    let mut at = 0;
    while at < class.len() {
        if class.get(at + 1) == Some(&b'-') && at + 2 < class.len() {
            if (class[at]..=class[at + 2]).contains(&c) {
                return true;
            }
            at += 3;
        } else if class[at] == c {
            return true;
        } else {
            at += 1;
        }
    }
    false
}

#[test]
fn patterns_are_walked_as_they_are_meant() {
    for (pattern, good, bad) in [
        ("^[0-9a-f]{4}$", &["00af", "1234"][..], &["", "00a", "00aff", "00aF", "00ag", "00\u{e9}f"][..]),
        ("^[A-Za-z0-9._-]{1,3}$", &["a", "-._"], &["", "abcd", "a b", "a/"]),
        ("^[0-9a-f]{2}-[0-9]{1,2}$", &["0f-1", "00-12"], &["0f1", "0f-", "0f-123", "-0f-1"]),
    ] {
        assert!(good.iter().all(|text| matches(pattern, text)), "{pattern}");
        assert!(bad.iter().all(|text| !matches(pattern, text)), "{pattern}");
    }
}
