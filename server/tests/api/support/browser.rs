//! A browser without JavaScript: it keeps cookies and sends forms as pages do.

use super::http::Reply;
use std::collections::BTreeMap;

pub struct Browser {
    base_url: String,
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn new(base_url: &str, http: &reqwest::Client) -> Self {
        Self {
            base_url: base_url.to_owned(),
            http: http.clone(),
            cookies: BTreeMap::new(),
        }
    }

    pub async fn open(&mut self, path: &str) -> Reply {
        let request = self.http.get(format!("{}{path}", self.base_url));
        self.send(request.header("sec-fetch-site", "none")).await
    }

    /// Sends a form from one of the site's own pages and follows the redirect.
    pub async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let request = self.form(path, fields).header("origin", &self.base_url);
        let reply = self.send(request.header("sec-fetch-site", "same-origin")).await;
        let target = reply.header("location").to_owned();
        match reply.status.is_redirection() {
            true => self.open(target.strip_prefix(&self.base_url).unwrap_or(&target)).await,
            false => reply,
        }
    }

    /// Sends a form from one of the site's own pages; a redirect is the caller's to follow.
    pub async fn submit_only(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let request = self.form(path, fields).header("origin", &self.base_url);
        self.send(request.header("sec-fetch-site", "same-origin")).await
    }

    /// Sends a form as a page of another site would make the browser do.
    pub async fn submit_from_elsewhere(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let request = self.form(path, fields).header("origin", "https://elsewhere.example");
        self.send(request.header("sec-fetch-site", "cross-site")).await
    }

    fn form(&self, path: &str, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let request = self.http.post(format!("{}{path}", self.base_url));
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.finish())
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Reply {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = request
            .header("cookie", cookies.join("; "))
            .header("accept", "text/html,application/xhtml+xml");
        let reply = Reply::read(request.send().await.unwrap()).await;
        for cookie in reply.headers.get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        reply
    }
}
