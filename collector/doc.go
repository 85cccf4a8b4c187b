// Package collector takes what gateways send over MQTT, checks it, stores it
// and acknowledges it: evidence first, then readings, then records, and only
// then the acknowledgement. docs/adr/0008-collector-order.md says why in this
// order.
package collector
