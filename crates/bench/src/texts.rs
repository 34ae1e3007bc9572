//! What people might say: plausible sentences, all of them different.

use std::sync::atomic::{AtomicUsize, Ordering};

#[rustfmt::skip]
const PEOPLE: [&str; 16] = [
    "I", "My sister Ada", "My brother Tom", "My neighbour Ines", "My friend Noor", "My colleague Jan", "My mother",
    "My father", "My aunt Rosa", "My uncle Karl", "My cousin Mina", "My teacher Mr Okoye", "My flatmate Lea",
    "My daughter Ella", "My son Mateo", "My grandmother Hana",
];
#[rustfmt::skip]
const ACTS: [&str; 25] = [
    "grew tomatoes", "played the cello", "repaired bicycles", "baked rye bread", "learned Portuguese",
    "trained for a marathon", "kept two cats", "collected stamps", "taught chemistry", "ran a small bakery",
    "wrote detective stories", "painted the kitchen blue", "raised bees", "sailed a wooden boat", "studied law",
    "sang in a choir", "photographed owls", "restored old radios", "practised yoga", "cooked without gluten",
    "drank green tea", "looked for a new flat", "planned a wedding", "knitted socks", "climbed indoors",
];
#[rustfmt::skip]
const PLACES: [&str; 20] = [
    "Lisbon", "Oslo", "Kyoto", "Montreal", "Ghent", "Cardiff", "Tallinn", "Porto", "Graz", "Bergen", "Quito", "Nairobi",
    "Hanoi", "Seville", "Leipzig", "Galway", "Turin", "Uppsala", "Utrecht", "Valparaiso",
];
#[rustfmt::skip]
const TIMES: [&str; 12] = [
    "every Sunday", "last summer", "as a child", "for ten years", "since the move", "before work", "in the evenings",
    "with old friends", "during the holidays", "after the operation", "on rainy days", "twice a week",
];

const SENTENCES: usize = PEOPLE.len() * ACTS.len() * PLACES.len() * TIMES.len();

/// The words of the n-th combination. The stride is prime to their number, so that neighbours have
/// little in common and none comes twice before all have come.
fn combination(n: usize) -> [&'static str; 4] {
    let n = n.wrapping_mul(37_987) % SENTENCES;
    let (n, person) = (n / PEOPLE.len(), PEOPLE[n % PEOPLE.len()]);
    let (n, act) = (n / ACTS.len(), ACTS[n % ACTS.len()]);
    let (n, place) = (n / PLACES.len(), PLACES[n % PLACES.len()]);
    [person, act, place, TIMES[n % TIMES.len()]]
}

/// The n-th memory.
pub(crate) fn memory(n: usize) -> String {
    let [person, act, place, time] = combination(n);
    format!("{person} {act} in {place} {time}.")
}

/// A question of usual length, about ten words, that was not asked before in this process; eight
/// thousand of them.
pub(crate) fn new_question() -> String {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let [person, act, place, _] = combination(ASKED.fetch_add(1, Ordering::Relaxed));
    let person = person
        .strip_prefix("My")
        .map_or(person.to_owned(), |rest| format!("my{rest}"));
    format!("Was it in {place} that {person} {act}?")
}

/// The n-th text of so many words.
pub(crate) fn of_length(n: usize, words: usize) -> String {
    let sentences: Vec<String> = (0..=words / 5).map(|more| memory(n + more)).collect();
    let text: Vec<&str> = sentences
        .iter()
        .flat_map(|sentence| sentence.split(' '))
        .collect();
    text[..words.min(text.len())].join(" ")
}
