// Package processbudget is a processor that lets a bounded number of processes of each host leave by
// name, and folds the rest into one remainder per category, so that totals are conserved.
//
// README.md says how to configure it. What is generated comes from metadata.yaml.
package processbudget // import "phoenix.dev/otelcol-phoenix/processor/processbudget"

//go:generate go tool -modfile=../../mdatagen/go.mod mdatagen metadata.yaml
