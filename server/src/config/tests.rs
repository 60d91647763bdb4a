use super::*;

fn load(env: &[(&str, &str)], file: &str) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    load_in(dir.path(), env, file)
}

fn load_in(dir: &Path, env: &[(&str, &str)], file: &str) -> Result<Config, ConfigError> {
    let path = dir.join("tollway.toml");
    std::fs::write(&path, file).unwrap();
    let mut map: BTreeMap<String, String> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    map.entry("TOLLWAY_DATA_DIR".to_owned())
        .or_insert_with(|| dir.join("data").display().to_string());
    Config::from_parts(Some(&path), map)
}

fn refusal(env: &[(&str, &str)], file: &str) -> String {
    load(env, file).unwrap_err().to_string()
}

#[test]
fn environment_wins_over_file_and_file_over_default() {
    let config = load(
        &[("TOLLWAY_ADDR", "127.0.0.1:4000")],
        "addr = '127.0.0.1:5000'\nlog = 'debug'",
    )
    .unwrap();
    assert_eq!((config.addr.port(), config.log.as_str()), (4000, "debug"));
    assert_eq!(config.base_url, "http://127.0.0.1:4000");
    assert_eq!(config.journal_fsync, Fsync::Interval(10));
    assert!(config.database_url.reveal().starts_with("sqlite:") && !config.dev);
}

#[test]
fn errors_name_the_setting_and_what_to_write() {
    assert!(refusal(&[("TOLLWAY_ADDR", "localhost")], "").starts_with("TOLLWAY_ADDR: "));
    assert!(refusal(&[("TOLLWAY_BASE_URL", "https://a.example/x")], "").contains("scheme, host and port only"));
    assert!(refusal(&[("TOLLWAY_DEV", "perhaps")], "").contains("neither 1 nor 0"));
    assert!(refusal(&[("TOLLWAY_JOURNAL_FSYNC", "0")], "").contains("always"));
    assert!(refusal(&[("TOLLWAY_SMTP_URL", "smtps://h")], "").starts_with("TOLLWAY_MAIL_FROM"));
    assert!(refusal(&[("TOLLWAY_BODY_BYTES_MAX", "-1")], "").contains("not a whole number"));
    assert!(refusal(&[], "adr = 'x'").contains("adr"));
}

#[test]
fn an_empty_or_short_webhook_secret_is_refused() {
    assert!(refusal(&[("TOLLWAY_WEBHOOK_SECRET", "")], "").contains("at least 24"));
    assert!(refusal(&[("TOLLWAY_WEBHOOK_SECRET", "")], "dev = true").contains("at least 24"));
    assert!(refusal(&[], "webhook_secret = 'short'").contains("at least 24"));
    let long = "w".repeat(24);
    assert!(refusal(&[("TOLLWAY_WEBHOOK_SECRET", &format!("{long},"))], "").contains("at least 24"));
    let config = load(&[("TOLLWAY_WEBHOOK_SECRET", &format!("{long}, {long}"))], "").unwrap();
    assert_eq!(config.webhook_secrets.len(), 2);
}

#[test]
fn what_could_let_anybody_post_payments_is_refused() {
    let secrets = "TOLLWAY_STRIPE_WEBHOOK_SECRETS";
    for bad in [
        "",
        "short",
        ",",
        "whsec_longer_than_that_it_is,",
        "whsec_longer_than_that_it_is,short",
    ] {
        let said = refusal(&[("TOLLWAY_STRIPE_SECRET_KEY", "sk_test_standin"), (secrets, bad)], "");
        assert!(said.contains("at least 24"), "{bad:?}: {said}");
        // Also while nothing is sold yet.
        assert!(refusal(&[(secrets, bad)], "").contains("at least 24"), "{bad:?}");
    }
    for bad in ["", "pk_test_published", "sk_test_", "sk_test_with space"] {
        let said = refusal(&[("TOLLWAY_STRIPE_SECRET_KEY", bad)], "");
        assert!(said.contains("TOLLWAY_STRIPE_SECRET_KEY"), "{bad:?}: {said}");
    }
    for bad in ["http://elsewhere.example", "https://a.example/path", "127.0.0.1:1"] {
        let said = refusal(&[("TOLLWAY_STRIPE_API_URL", bad)], "");
        assert!(said.contains("TOLLWAY_STRIPE_API_URL"), "{bad:?}: {said}");
    }
    assert!(refusal(&[("TOLLWAY_STRIPE_METHODS", "card,cash")], "").contains("cash"));
    assert!(refusal(&[("TOLLWAY_PURCHASE_FEE_BASIS_POINTS", "5001")], "").contains("more than"));
}

#[test]
fn stripe_is_told_by_its_key_to_be_live_or_not() {
    let file = "stripe_webhook_secrets = 'whsec_longer_than_that_it_is, whsec_another_one_while_rotating'
                stripe_api_url = 'http://127.0.0.1:8910/'\nstripe_methods = 'card'";
    let stripe = |key| {
        load(&[("TOLLWAY_STRIPE_SECRET_KEY", key)], file)
            .unwrap()
            .payments
            .stripe
            .unwrap()
    };
    let (test, live) = (stripe("sk_test_standin"), stripe("rk_live_restricted"));
    assert_eq!((test.is_live(), live.is_live()), (false, true));
    assert_eq!((test.webhook_secrets.len(), test.methods), (2, vec!["card"]));
    assert_eq!(live.payment_pages(), "http://127.0.0.1:8910");
    assert!(load(&[], "").unwrap().payments.stripe.is_none());
}

#[test]
fn generated_values_are_kept_and_private() {
    let dir = tempfile::tempdir().unwrap();
    let first = load_in(dir.path(), &[("TOLLWAY_DEV", "1")], "").unwrap();
    let second = load_in(dir.path(), &[("TOLLWAY_DEV", "1")], "").unwrap();
    assert_eq!(first.node, second.node);
    assert_eq!(first.webhook_secrets, second.webhook_secrets);
    #[cfg(unix)]
    for name in ["webhook_secret", "node_id"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(first.data_dir.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    std::fs::write(first.data_dir.join("webhook_secret"), "").unwrap();
    let error = load_in(dir.path(), &[("TOLLWAY_DEV", "1")], "")
        .unwrap_err()
        .to_string();
    assert!(error.contains("webhook_secret holds no usable value"), "{error}");
}

#[test]
fn secrets_are_never_printed() {
    let canary = "canary-canary-canary-canary";
    let env = [
        ("OPENAI_API_KEY", canary),
        ("TOLLWAY_WEBHOOK_SECRET", canary),
        ("TOLLWAY_DATABASE_URL", canary),
        ("TOLLWAY_SMTP_URL", "smtps://u:canary-canary@h"),
        ("TOLLWAY_MAIL_FROM", "a@b.c"),
    ];
    let config = load(&env, "[provider_keys]\nGROQ_API_KEY = 'canary'").unwrap();
    assert!(!format!("{config:?}").contains("canary"));
    assert_eq!(config.provider_key("OPENAI_API_KEY").unwrap().reveal(), canary);
    assert_eq!(config.provider_key("GROQ_API_KEY").unwrap().reveal(), "canary");
    assert!(config.provider_key("TOLLWAY_WEBHOOK_SECRET").is_none());
}

#[test]
fn the_base_url_follows_the_bound_port_unless_it_is_set() {
    let bound = SocketAddr::from(([127, 0, 0, 1], 4567));
    assert_eq!(
        load(&[("TOLLWAY_ADDR", "127.0.0.1:0")], "")
            .unwrap()
            .bound(bound)
            .base_url,
        "http://127.0.0.1:4567"
    );
    let set = load(&[("TOLLWAY_BASE_URL", "https://Tollway.Example/")], "").unwrap();
    assert!(set.is_https());
    assert_eq!(set.bound(bound).base_url, "https://tollway.example");
}

#[test]
fn a_misspelt_variable_is_noticed() {
    assert_eq!(load(&[("TOLLWAY_ADR", "x")], "").unwrap().unknown, ["TOLLWAY_ADR"]);
}
