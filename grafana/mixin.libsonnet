// Boards and rules as a monitoring mixin: mixtool, or `jsonnet -e '(import "mixin.libsonnet").prometheusAlerts'`.
local groups = [
  importstr 'rules/costmeter-alerts.yml',
  importstr 'rules/costmeter.yml',
];
local those(kind) = [
  group { rules: [rule for rule in group.rules if std.objectHas(rule, kind)] }
  for group in std.flatMap(function(file) std.parseYaml(file).groups, groups)
  if std.length([rule for rule in group.rules if std.objectHas(rule, kind)]) > 0
];
{
  _config:: { currency: 'USD', version: '0.1.0' },
  grafanaDashboards+:: {
    'costmeter-fleet.json': import 'dashboards/fleet.json',
    'costmeter-run.json': import 'dashboards/run.json',
    'costmeter-spend.json': import 'dashboards/spend.json',
  },
  prometheusAlerts+:: { groups: those('alert') },
  prometheusRules+:: { groups: those('record') },
}
