use super::super::print;
use super::*;
use std::time::Duration;

fn of_file(text: &str) -> Result<Settings, String> {
    let mut layers = Layers::defaults();
    layers.add_text(Path::new("w.toml"), text).map_err(|error| error.to_string())?;
    layers.settings().map_err(|error| error.to_string())
}

fn wrong(text: &str) -> String {
    of_file(text).map(|_| ()).unwrap_err()
}

/// `default.toml` is the one list: it names every setting, nothing else, and says its default.
#[test]
fn the_documented_defaults_are_the_defaults() {
    assert_eq!(of_file(DEFAULT), Ok(Settings::default()));
    let mut settings = Settings::default();
    let server = &mut settings.server;
    (server.tiles, server.web, server.public_url) = (Some("t".into()), Some("w".into()), Some("u".into()));
    (settings.access.audience, settings.telemetry.otlp) = (Some("a".into()), Some("o".into()));
    (settings.server.drain_to, settings.tiles.fonts) = (Some("d".into()), Some("f".into()));
    let known = Layers::defaults();
    let mut named = 0;
    for (section, keys) in Table::try_from(&settings).unwrap() {
        for key in keys.as_table().unwrap().keys() {
            assert!(
                known.chosen.contains_key(&format!("{section}.{key}")),
                "default.toml has no {section}.{key}"
            );
            named += 1;
        }
    }
    assert_eq!(named, known.chosen.len(), "default.toml has keys that are none");
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_the_nearest_key() {
    let said = wrong(
        "[server]\n\n[limits]\nconections = 5\nrooms = \"many\"\nroom_idle = \"10 parsecs\"\nframe_bytes = -1\n",
    );
    let lines: Vec<_> = said.lines().map(str::trim).collect();
    assert_eq!(lines[0], "w.toml:4: limits.conections is no setting; did you mean limits.connections?");
    assert!(lines[1].starts_with("w.toml:7: limits.frame_bytes: ") && lines[1].contains("16MiB"), "{said}");
    assert!(lines[2].starts_with("w.toml:6: limits.room_idle: ") && lines[2].contains("10s"), "{said}");
    assert!(lines[3].starts_with("w.toml:5: limits.rooms: ") && lines[3].contains("many"), "{said}");
    assert_eq!(lines.len(), 4);
    assert!(
        wrong("[limit]\nrooms = 1")
            .starts_with("w.toml:2: limit.rooms is no setting; did you mean limits.rooms?")
    );
    assert!(wrong("listen = \"x\"").contains("did you mean server.listen?"));
    assert!(wrong("[server]\nlisten = \"localhost\"").starts_with("w.toml:2: server.listen: "));
    assert!(wrong("[log]\nlevel = \"loud\"").contains("`debug`"));
    assert!(wrong("[access]\nkeys = [{ fil = \"x\" }]").starts_with("w.toml:2: access.keys: "));
    assert!(wrong("[server\n").contains("line 1"), "{}", wrong("[server\n"));
    assert!(wrong("[server]\ndata = \"a\"\ndata = \"b\"").contains("duplicate key"));
}

#[test]
fn a_flag_counts_more_than_the_environment_and_that_more_than_the_file() {
    let file = "[limits]\nconnections = 1\nrooms = 1\nroom_idle = 1\nmailbox_bytes = \"1kB\"";
    let environment = [
        ("WATERSMEET_LIMITS_CONNECTIONS", "2"),
        ("WATERSMEET_LIMITS_ROOMS", "2"),
        ("WATERSMEET_SERVER_DATA", "long"),
        ("WATERSMEET_ALLOW_ORIGIN", "https://a.example, https://b.example"),
        ("WATERSMEET_OPEN", "1"),
        ("WATERSMEET_KEY", "a.jwk,b.jwk"),
        ("WATERSMEET_BIN", "another program's"),
    ];
    let mut layers = Layers::defaults();
    layers.add_text(Path::new("w.toml"), file).unwrap();
    layers.add_environment(environment.into_iter().map(|(key, value)| (key.into(), value.into())));
    layers.add_set(&["limits.connections=3".to_owned(), "server.data=7".to_owned()]);
    let settings = layers.settings().unwrap();
    let limits = settings.limits();
    assert_eq!((limits.connections, limits.rooms), (3, 2));
    assert_eq!((limits.room_idle, limits.mailbox_bytes), (Duration::from_secs(1), 1_000));
    assert_eq!(settings.server.data, Path::new("7"), "a text may look like a number");
    assert_eq!(settings.server.allow_origin, ["https://a.example", "https://b.example"]);
    assert!(settings.access.open);
    let files: Vec<_> = settings.access.keys.iter().filter_map(|key| key.file.clone()).collect();
    assert_eq!(files, [Path::new("a.jwk"), Path::new("b.jwk")]);
}

#[test]
fn every_setting_can_be_in_the_environment_and_in_a_flag() {
    let known = Layers::defaults();
    for (key, (default, _)) in &known.chosen {
        let text = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        let variable = format!("{PREFIX}{}", key.replace('.', "_").to_uppercase());
        let mut layers = Layers::defaults();
        layers.add_environment([(variable.clone().into(), text.clone().into())].into_iter());
        assert_eq!(layers.chosen[key].1, Place::Environment(variable), "{key}");
        assert_eq!(layers.settings().unwrap(), Settings::default(), "{key}={text}");
        layers.add_set(&[format!("{key}={text}")]);
        assert_eq!(layers.chosen[key].1, Place::Flag(format!("--set {key}")));
        assert_eq!(layers.settings().unwrap(), Settings::default(), "{key}={text}");
    }
}

#[test]
fn a_variable_of_a_section_that_is_no_setting_is_an_error() {
    let mut layers = Layers::defaults();
    layers.add_environment([("WATERSMEET_LIMITS_CONECTIONS".into(), "1".into())].into_iter());
    layers.add_set(&["limits.conections=1".to_owned(), "nonsense".to_owned()]);
    let said = layers.settings().unwrap_err().to_string();
    assert!(
        said.contains(
            "WATERSMEET_LIMITS_CONECTIONS is no setting; did you mean WATERSMEET_LIMITS_CONNECTIONS?"
        )
    );
    assert!(said.contains("--set limits.conections: limits.conections is no setting"), "{said}");
    assert!(said.contains("--set nonsense: write --set KEY=VALUE"), "{said}");
}

#[test]
fn what_is_printed_says_where_it_comes_from_and_hides_secrets() {
    let mut layers = Layers::defaults();
    let file = "[limits]\nframe_bytes = 1048576\n[access]\nkeys = [{ id = \"a\", algorithm = \"HS256\", value = \"sesame\" }]";
    layers.add_text(Path::new("w.toml"), file).unwrap();
    layers.add_set(&["server.tiles=t".to_owned()]);
    let printed = print::shown(&layers, &layers.settings().unwrap());
    assert!(printed.contains("frame_bytes = \"1MiB\"  # w.toml:2\n"), "{printed}");
    assert!(printed.contains("tiles = \"t\"  # --set server.tiles\n"), "{printed}");
    assert!(printed.contains("\nrooms = 10000\n"), "{printed}");
    assert!(printed.contains("(hidden)") && !printed.contains("sesame"), "{printed}");
    // What is printed can be read again.
    assert!(of_file(&printed).is_ok(), "{printed}");
}
