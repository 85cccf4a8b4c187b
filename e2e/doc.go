// Package e2e holds tests over real processes: mosquitto, influxd, and both
// programs as they are shipped, with simulated devices in the test process.
// Each test has folders and ports of its own and ends what it started.
//
// YUNHE_E2E_ROUNDS and YUNHE_E2E_SECONDS make TestKillEverything longer,
// YUNHE_E2E_SEED repeats a run.
package e2e
