//! The service's metrics, as Prometheus reads them; the alert rules, as it evaluates them.

mod alerts;
mod exposition;
mod promql;
mod series;
