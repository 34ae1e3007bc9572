//! The README's table of settings is the program's. (Its tour is run by tests/e2e/tour.rs.)

use std::path::Path;

use memorychat::settings::markdown;

const START: &str = "<!-- settings -->\n";
const END: &str = "<!-- /settings -->";

#[test]
fn the_table_of_settings_is_current() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md"));
    let readme = std::fs::read_to_string(path).expect("README.md");
    let (head, rest) = readme.split_once(START).expect("start mark");
    let (table, tail) = rest.split_once(END).expect("end mark");
    let current = markdown();
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(path, format!("{head}{START}{current}{END}{tail}")).expect("README.md");
        return;
    }
    assert!(
        table == current,
        "the README's settings are old; run: UPDATE_README=1 cargo test -p app --test readme"
    );
}
