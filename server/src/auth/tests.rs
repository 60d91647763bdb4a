use super::*;
use domain::id::UserId;
use http::header::AUTHORIZATION;

const CARRIERS: [&str; 3] = ["authorization", "x-api-key", "x-goog-api-key"];

pub(super) fn key(api_key: &ApiKey) -> Key {
    let start = Micros::new(0);
    Key {
        hash: api_key.hash(),
        account: AccountId::stored(format!("acc_{}", api_key.hash())),
        user: UserId::stored("usr_1"),
        name: "test".to_owned(),
        label: api_key.label(),
        limit: None,
        reset: None,
        expires: None,
        disabled: false,
        deleted: false,
        internal: false,
        created: start,
        updated: start,
        last_used: None,
    }
}

fn carried(carrier: &'static str, text: &[u8]) -> HeaderMap {
    let value = match carrier {
        "authorization" => [b"Bearer ".as_slice(), text].concat(),
        _ => text.to_vec(),
    };
    HeaderMap::from_iter([(
        HeaderName::from_static(carrier),
        HeaderValue::from_bytes(&value).unwrap(),
    )])
}

fn refusal(key: Option<Key>, headers: &HeaderMap, now: i64) -> String {
    let error = Caller::admit(key.map(Arc::new), headers, Micros::new(now)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorType::Authentication, 401));
    error.message().to_owned()
}

#[test]
fn every_carrier_brings_the_same_key() {
    let api_key = ApiKey::new(&[7; 32]);
    for carrier in CARRIERS {
        let headers = carried(carrier, api_key.reveal().as_bytes());
        assert!(credential(&headers).unwrap().hash() == api_key.hash(), "{carrier}");
    }
    let lower = HeaderMap::from_iter([(AUTHORIZATION, format!("bearer  {} ", api_key.reveal()).parse().unwrap())]);
    assert!(credential(&lower).is_ok());
}

#[test]
fn odd_credentials_are_401_on_every_carrier() {
    let valid = ApiKey::new(&[7; 32]);
    let long = "k".repeat(64 * 1024);
    let odd: [&[u8]; 9] = [
        b"",
        b"' OR 1=1 --",
        b"\"",
        b"%00",
        b"sk-tw-v1-",
        "sk-tw-v1-\u{fc}\u{1f511}".as_bytes(),
        b"\xff\xfe",
        long.as_bytes(),
        &valid.reveal().as_bytes()[..80],
    ];
    for carrier in CARRIERS {
        for text in odd {
            let error = credential(&carried(carrier, text)).err().unwrap();
            assert_eq!(error.code(), 401, "{carrier} {text:?}");
        }
    }
    assert!(
        HeaderValue::from_bytes(b"a\0b").is_err(),
        "a NUL never gets past the header parser"
    );
}

#[test]
fn another_scheme_or_no_key_is_explained() {
    let basic = HeaderMap::from_iter([(AUTHORIZATION, "Basic YTpi".parse().unwrap())]);
    assert!(credential(&basic).err().unwrap().message().contains("Bearer"));
    assert!(
        credential(&HeaderMap::new())
            .err()
            .unwrap()
            .message()
            .starts_with("No API key")
    );
}

#[test]
fn each_reason_has_its_own_message() {
    let none = HeaderMap::new();
    let known = key(&ApiKey::new(&[1; 32]));
    let with = |change: fn(&mut Key)| {
        let mut key = known.clone();
        change(&mut key);
        Some(key)
    };
    assert!(refusal(None, &none, 0).contains("not known"));
    assert!(refusal(with(|key| key.deleted = true), &none, 0).contains("not known"));
    assert!(refusal(with(|key| key.disabled = true), &none, 0).contains("disabled"));
    let expired = refusal(with(|key| key.expires = Some(Micros::new(5))), &none, 5);
    assert!(expired.contains("expired at 1970-01-01T00:00:00Z"), "{expired}");
    let later = with(|key| key.expires = Some(Micros::new(6))).map(Arc::new);
    assert!(Caller::admit(later, &none, Micros::new(5)).is_ok());
}

#[test]
fn the_app_is_named_without_control_characters_and_secrets() {
    let headers = HeaderMap::from_iter([
        (
            HeaderName::from_static("x-title"),
            HeaderValue::from_bytes("  My\tapp \u{2728} ".as_bytes()).unwrap(),
        ),
        (
            HeaderName::from_static("http-referer"),
            HeaderValue::from_static("https://u:p@app.example/chat/?q=1#f"),
        ),
    ]);
    let caller = Caller::admit(Some(Arc::new(key(&ApiKey::new(&[1; 32])))), &headers, Micros::new(0)).unwrap();
    assert_eq!(caller.app_name.as_deref(), Some("Myapp \u{2728}"));
    assert_eq!(caller.app_url.as_deref(), Some("https://app.example/chat"));
    for bad in ["javascript:alert(1)", "app.example", "data:text/html,x", "https://"] {
        assert_eq!(app_url(&HeaderValue::from_static(bad)), None, "{bad}");
    }
    let long = HeaderValue::from_str(&"n".repeat(5_000)).unwrap();
    assert_eq!(app_name(&long).unwrap().len(), APP_NAME_CHARS_MAX);
}

proptest::proptest! {
    #[test]
    fn different_credentials_never_give_the_same_identity(
        a in proptest::prelude::any::<[u8; 32]>(), b in proptest::prelude::any::<[u8; 32]>(), x in 0usize..3, y in 0usize..3
    ) {
        let identity = |random, carrier: usize| {
            let text = ApiKey::new(random).reveal().to_owned();
            credential(&carried(CARRIERS[carrier], text.as_bytes())).ok().unwrap().hash()
        };
        proptest::prop_assert_eq!(identity(&a, x) == identity(&b, y), a == b);
    }
}
