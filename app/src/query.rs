//! The query string of a page that the server renders alone: what is asked for, and how the form before it went.

use crate::fail::Fail;
use leptos::server_fn::error::ServerFnUrlError;
use leptos_router::location::RequestUrl;
use leptos_router::params::ParamsMap;

pub struct Query(ParamsMap);

impl Query {
    /// With or without the question mark.
    #[must_use]
    pub fn parse(search: &str) -> Self {
        let url = RequestUrl::new(&format!("/?{}", search.trim_start_matches('?'))).parse();
        Self(url.map(|url| url.search_params().clone()).unwrap_or_default())
    }

    /// The empty text for what is not there.
    #[must_use]
    pub fn get(&self, key: &str) -> &str {
        self.0.get_str(key).unwrap_or_default()
    }

    /// Why the form was refused that led back to this page.
    #[must_use]
    pub fn fail(&self) -> Option<Fail> {
        let error = self.0.get_str("__err")?;
        Some(ServerFnUrlError::<Fail>::decode_err(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_is_asked_for_is_read_from_its_address() {
        let query = Query::parse("?purchase=pur_1&amount=12.34&note=a%26b+c");
        assert_eq!(
            [
                query.get("purchase"),
                query.get("amount"),
                query.get("note"),
                query.get("other")
            ],
            ["pur_1", "12.34", "a&b c", ""]
        );
        assert_eq!(query.fail(), None);
    }

    #[test]
    fn a_refused_form_leads_back_with_its_reason() {
        let error = ServerFnUrlError::new("/rpc/x", Fail::AmountNotCents);
        let url = error.to_url("http://localhost/account/credits").unwrap();
        assert_eq!(Query::parse(url.query().unwrap()).fail(), Some(Fail::AmountNotCents));
        assert_eq!(Query::parse("__err=forged").fail(), Some(Fail::Internal));
    }
}
