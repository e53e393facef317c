//! The sample of `serve --demo`: two small dev servers inside the gateway's process, on a thread of their own.
//!
//! They are what people run in a workspace: bound on 127.0.0.1 alone, reached as `localhost`, and without any knowledge of
//! Portway, of a login or of a visitor. Only `workspace` knows the gateway's side, which is a row for each.

mod api;
mod echo;
mod events;
mod hosts;
mod page;
mod ports;
mod upload;
pub(crate) mod workspace;

use std::io;
use std::net::TcpListener;

use axum::Router;
use axum::middleware::from_fn;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::output::Failure;

/// Where the two servers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) page: u16,
    pub(crate) api: u16,
}

/// Both servers, bound and not yet serving.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) ports: Ports,
    page: TcpListener,
    api: TcpListener,
}

/// Both servers, serving. Dropping it ends them and every connection they have.
#[derive(Debug)]
pub(crate) struct Demo {
    _stop: oneshot::Sender<()>,
}

/// Binds both, on their usual ports or on free ones.
///
/// # Errors
/// That this machine has no free port of 127.0.0.1 at all.
pub(crate) fn bind() -> Result<Bound, Failure> {
    let failed = |error: io::Error| Failure::failed(format!("cannot bind the sample of --demo: {error}"));
    let page = ports::bind_near(ports::PAGE).map_err(failed)?;
    let api = ports::bind_near(ports::API).map_err(failed)?;
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port()).map_err(failed);
    Ok(Bound { ports: Ports { page: port(&page)?, api: port(&api)? }, page, api })
}

impl Bound {
    /// Serves both on a thread of their own: an upload that is hashed here holds up neither the control runtime nor a core
    /// of the data plane.
    ///
    /// # Errors
    /// That there is no thread or no runtime to be had.
    pub(crate) fn start(self) -> Result<Demo, Failure> {
        let failed = |error: io::Error| Failure::failed(format!("cannot start the sample of --demo: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let page = adopt(&runtime, self.page).map_err(failed)?;
        let api = adopt(&runtime, self.api).map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let serve = async move {
            tokio::select! {
                () = serve(page, page::routes(self.ports)) => {}
                () = serve(api, api::routes()) => {}
                // Its other end was dropped.
                _ = stopped => {}
            }
        };
        std::thread::Builder::new().name("demo".into()).spawn(move || runtime.block_on(serve)).map_err(failed)?;
        Ok(Demo { _stop: stop })
    }
}

fn adopt(runtime: &Runtime, listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    let _inside = runtime.enter();
    tokio::net::TcpListener::from_std(listener)
}

async fn serve(listener: tokio::net::TcpListener, routes: Router) {
    if let Err(error) = axum::serve(listener, routes.layer(from_fn(hosts::localhost_only))).await {
        tracing::error!(event = "demo", %error);
    }
}
