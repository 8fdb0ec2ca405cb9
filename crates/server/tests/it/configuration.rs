//! `tidings config`: what it says of a configuration is what a start says of it, and none of it is a secret.

use crate::server::Server;
use tempfile::TempDir;

/// A folder with these files in it.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// A certificate and its key.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn what_a_start_is_refused_for_is_found_by_config_check() {
    const TLS: (&str, &str) = ("tidings.toml", "tls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n");
    let ((cert, key), (_, other_key)) = (certificate(), certificate());
    for (files, environment, says) in [
        (&[][..], &[("TIDINGS_TOKEN_SECRET", "fifteen-bytes-.")][..], "TIDINGS_TOKEN_SECRET has 15 bytes; at least 16"),
        (&[], &[("TIDINGS_API_KEY", "short")], "TIDINGS_API_KEY has 5 bytes; at least 16"),
        (&[], &[("TIDINGS_API_KEY", "sixteen-bytes-or-more ")], "TIDINGS_API_KEY could be in no header"),
        (&[("data/api-key", "sixteen-bytes-or-more\nand another line\n")], &[], "data/api-key could be in no header"),
        (
            &[
                ("tidings.toml", "[[api_keys]]\nname = \"a\"\nkey = \"the-generated-key\"\nscopes = [\"all\"]\n"),
                ("data/api-key", "the-generated-key\n"),
            ],
            &[],
            "api_keys.a.key ``: is the same as that of api-key",
        ),
        (&[("data/token-secret", "short\n")], &[], "data/token-secret is damaged"),
        (&[("data", "a file")], &[], "there is a file in its place"),
        (&[TLS], &[], "check --tls-cert and --tls-key: cannot read cert.pem"),
        (&[TLS, ("cert.pem", &cert)], &[], "cannot read key.pem"),
        (&[TLS, ("cert.pem", "no PEM"), ("key.pem", &key)], &[], "cert.pem is not PEM with what is needed"),
        (&[TLS, ("cert.pem", &cert), ("key.pem", &cert)], &[], "key.pem is not PEM with what is needed"),
        (
            &[TLS, ("cert.pem", &cert), ("key.pem", &other_key)],
            &[],
            "the certificate and the key of cert.pem do not go",
        ),
        (&[("tidings.toml", "log = \"=loud=\"\n")], &[], "log filter `=loud=` is not understood"),
        (
            &[("tidings.toml", "[[api_keys]]\nname = \"a\"\nkey_file = \"none\"\nscopes = [\"all\"]\n")],
            &[],
            "api_keys.a.key_file `none`: cannot be read",
        ),
    ] {
        let said = Server::refused_in(&folder(files), environment);
        assert!(said.contains(says), "{said}\nshould say\n{says}");
    }
}

#[test]
fn a_configuration_that_is_good_is_called_so_and_nothing_is_made_for_it() {
    let (cert, key) = certificate();
    let insecure = "[client]\ninsecure = true\n";
    for (files, environment) in [
        (
            &[
                ("tidings.toml", "tls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n"),
                ("cert.pem", &*cert),
                ("key.pem", &*key),
            ][..],
            &[][..],
        ),
        (&[("tidings.toml", insecure)], &[("TIDINGS_TOKEN_SECRET", "short")]),
    ] {
        let folder = folder(files);
        let said = Server::run_in(&folder, environment, &["config", "check", "--data-dir", "data"]);
        assert!(said.starts_with("The configuration is good: 0 namespaces, listening on 127.0.0.1:8000."), "{said}");
        assert!(!folder.path().join("data").exists());
    }
}

#[test]
fn s66_what_is_printed_has_no_secret_in_it_and_does_nothing_to_a_terminal() {
    let file = "server_name = \"\u{200f}Shop\"\ndatabase = \"postgres://ana:5ecret@127.0.0.1/chat\"\n\
                [[api_keys]]\nname = \"shop\"\nkey = \"5ecret-of-the-shop\"\nscopes = [\"all\"]\n";
    let folder = folder(&[("tidings.toml", file)]);
    for args in [&["config", "print"][..], &["config", "explain", "server_name"], &["config", "explain", "database"]] {
        let said = Server::run_in(&folder, &[], args);
        assert!(!said.contains("5ecret") && !said.contains('\u{200f}'), "{said}");
        assert!(args.contains(&"database") || said.contains("\"\\u200fShop\""), "{said}");
    }
}

#[test]
fn s50_what_is_imported_does_nothing_to_a_terminal() {
    let given = r#"{"client": {"token": {"audience": "\u001b[2J\u009b"}}, "a\u001b]0;\u009b\nb": 1, "channel": {"namespaces": [
        {"name": "me", "b\u001b": 1}]}}"#;
    let folder = folder(&[
        ("config.json", given),
        ("twice.json", r#"{"namespaces": [{"name": "a\u001b\n"}, {"name": "a\u001b\n"}]}"#),
    ]);
    let (text, notes) = Server::said_in(&folder, &["config", "import", "config.json"]);
    assert!(text.contains(r#"token_audience = "\u001B[2J\u009b""#), "{text:?}");
    assert!(notes.contains(r"a\u001b]0;\u009b\u000ab: has no counterpart"), "{notes:?}");
    assert!(notes.contains(r"namespaces.me.b\u001b: has no counterpart"), "{notes:?}");
    let (nothing, refused) = Server::said_in(&folder, &["config", "import", "twice.json"]);
    for said in [text, notes, nothing, refused] {
        assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
    }
}
