use super::*;

#[test]
fn every_variable_stands_on_the_page_with_its_source() {
    let page = include_str!("../../../docs/base.md");
    for engine in ENGINES {
        for variable in engine.variables {
            assert!(page.contains(&format!("`{}`", variable.name)), "{}", variable.name);
            assert!(!variable.says.is_empty());
        }
        for documented in engine.documented {
            assert!(page.contains(documented), "{documented}");
        }
    }
}

#[test]
fn without_an_engine_there_is_no_event() {
    for variables in [&[][..], &[("CI", "true")], &[("GITHUB_BASE_REF", "")]] {
        let variables = variables
            .iter()
            .map(|&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned()));
        assert_eq!(Event::from_environment(&variables.collect(), &|_| None), None);
    }
}

#[test]
fn an_event_file_that_cannot_be_read_is_a_note() {
    let variables = [("GITHUB_EVENT_NAME", "push"), ("GITHUB_EVENT_PATH", "/e")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    for file in [None, Some(b"{".to_vec())] {
        let event = Event::from_environment(&variables, &|_| file.clone()).expect("an event");
        assert_eq!(event.notes, ["GITHUB_EVENT_PATH names `/e`, which cannot be read"]);
    }
}

#[test]
fn a_claim_is_hexadecimal_digits_and_nothing_else() {
    for bad in ["", "HEAD", "main", "abc", "000000000000", "--all", "deadbeef^"] {
        assert_eq!(Claim::new(bad, "X"), None, "{bad}");
    }
    assert!(Claim::new("0ee91f38f189", "X").is_some());
}
