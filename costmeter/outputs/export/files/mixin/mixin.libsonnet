// Boards and rules as a monitoring mixin: mixtool, or `jsonnet -e '(import "mixin.libsonnet").prometheusAlerts'`.
local groups = [
@RULE_IMPORTS@
];
local those(kind) = [
  group { rules: [rule for rule in group.rules if std.objectHas(rule, kind)] }
  for group in std.flatMap(function(file) std.parseYaml(file).groups, groups)
  if std.length([rule for rule in group.rules if std.objectHas(rule, kind)]) > 0
];
{
  _config:: { currency: 'USD', version: '@VERSION@' },
  grafanaDashboards+:: {
@BOARD_IMPORTS@
  },
  prometheusAlerts+:: { groups: those('alert') },
  prometheusRules+:: { groups: those('record') },
}
