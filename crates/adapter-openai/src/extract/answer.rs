//! What the model answers, whatever it wraps around it.

use domain::memory::{Candidate, MemoryContent};
use serde::Deserialize;

/// Of one message, at most so many facts.
pub(super) const MAX_FACTS: usize = 10;

/// How many opening braces are tried: prose may hold a few before the object.
const MAX_STARTS: usize = 64;

#[derive(Deserialize)]
struct Answer {
    facts: Vec<Fact>,
}

#[derive(Deserialize)]
struct Fact {
    text: Option<String>,
    quote: Option<String>,
}

/// The facts of the first JSON object in the text that has any, or an empty list of them; `None`
/// without such an object. Further fields are ignored, facts without words are left out, and what is
/// too much or too long is cut.
pub(super) fn facts(text: &str) -> Option<Vec<Candidate>> {
    let mut starts = text.match_indices('{').take(MAX_STARTS);
    let answer = starts.find_map(|(start, _)| object(text.get(start..)?))?;
    Some(
        answer
            .facts
            .into_iter()
            .filter_map(candidate)
            .take(MAX_FACTS)
            .collect(),
    )
}

/// The object that the text begins with; what follows it does not matter.
fn object(text: &str) -> Option<Answer> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .next()?
        .ok()
}

fn candidate(fact: Fact) -> Option<Candidate> {
    Some(Candidate {
        text: words(&fact.text?)?,
        quote: words(&fact.quote?)?,
    })
}

fn words(text: &str) -> Option<String> {
    let head: String = text.trim().chars().take(MemoryContent::MAX_CHARS).collect();
    (!head.is_empty()).then_some(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const REX: &str = r#"{"facts":[{"text":"Has a dog.","quote":"my dog","why":1}],"more":{}}"#;

    fn pairs(text: &str) -> Option<Vec<(String, String)>> {
        Some(
            facts(text)?
                .into_iter()
                .map(|fact| (fact.text, fact.quote))
                .collect(),
        )
    }

    #[test]
    fn the_object_is_found_in_whatever_stands_around_it() {
        let expected = Some(vec![("Has a dog.".to_owned(), "my dog".to_owned())]);
        let wrapped = [
            REX.to_owned(),
            format!("```json\n{REX}\n```"),
            format!("<think>{{hm}} {{\"a\": 1}}</think> Here it is: {REX} {REX} Anything else?"),
        ];
        for text in wrapped {
            assert_eq!(pairs(&text), expected, "{text}");
        }
        assert_eq!(pairs(r#"{"facts":[]}"#), Some(vec![]));
    }

    #[test]
    fn an_answer_without_a_list_of_facts_is_none() {
        for text in [
            "",
            "I cannot do that.",
            "[]",
            "{}",
            r#"{"facts":"none"}"#,
            &REX[..40],
            &"{".repeat(100_000),
        ] {
            assert_eq!(pairs(text), None, "{text:.60}");
        }
    }

    #[test]
    fn what_is_too_much_is_cut_and_what_is_empty_left_out() {
        let fact = |text: &str, quote: &str| json!({ "text": text, "quote": quote });
        let mut list = vec![fact(" ", "x"), fact("x", ""), json!({ "text": "no quote" })];
        list.extend((0..30).map(|_| fact(&"ж".repeat(9000), "q")));
        let facts = facts(&json!({ "facts": list }).to_string()).unwrap();
        assert_eq!(facts.len(), MAX_FACTS);
        assert!(
            facts
                .iter()
                .all(|fact| fact.text.chars().count() == MemoryContent::MAX_CHARS)
        );
    }

    proptest! {
        #[test]
        fn no_answer_is_too_strange_to_read(text in r#"[\[\]{}":,factsexquo0-9\\ ]{0,200}"#) {
            facts(&text);
        }
    }
}
