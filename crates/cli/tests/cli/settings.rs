//! `fcmae settings`, and the page that it writes.

use crate::command::{Ran, command};

fn run(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> String {
    Ran::of(command(arguments)).done().stdout
}

#[test]
fn a_setting_is_explained_with_its_defaults_and_words() {
    let text = run(&[&"settings", &"optim.epochs=5", &"mask.encoder"]);
    assert!(
        text.contains("optim.epochs = 200 (pretrain), 100 (finetune)\n    Passes over"),
        "{text}"
    );
    assert!(text.contains("\n      sparse: It skips them"), "{text}");
    assert_eq!(text.matches(" = ").count(), 2, "{text}");
}

#[test]
fn a_table_is_listed_and_all_without_a_key() {
    let table = run(&[&"settings", &"save"]);
    assert_eq!(table.matches("save.").count(), 3, "{table}");
    let all = run(&[&"settings"]);
    assert!(all.contains(&table) && all.contains("[finetune]") && all.contains("[decoder]"));
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest() {
    for (key, nearest) in [("optim.epoch", "optim.epochs"), ("finetune.emma", "finetune.ema")] {
        let says = format!("did you mean `{nearest}`?");
        Ran::of(command(&[&"settings", &key])).refused(2, &[&says]);
    }
}

/// `fcmae settings --markdown > docs/settings.md` writes it anew.
#[test]
fn the_page_of_settings_is_what_the_program_writes() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page == run(&[&"settings", &"--markdown"]), "docs/settings.md is not up to date");
}
