/** Alertmanager's route: pages at once and again, tickets together and seldom; what follows from something worse keeps quiet. */

export interface Receivers {
  /** Web hooks that are told; without one a receiver is there and tells nobody. */
  readonly page?: string
  readonly ticket?: string
}

const receiver = (name: string, url: string | undefined) => ({ name, ...url ? { webhook_configs: [{ url, send_resolved: true }] } : {} })

export function alertmanagerConfig({ page, ticket }: Receivers): object {
  return {
    route: {
      receiver: 'ticket',
      group_by: ['job', 'alertname'],
      group_wait: '1m', group_interval: '10m', repeat_interval: '1d',
      routes: [{ matchers: ['severity="page"'], receiver: 'page', group_by: ['job'], group_wait: '10s', group_interval: '1m', repeat_interval: '1h' }],
    },
    inhibit_rules: [
      // Who is paged for a budget needs no second word on the same one.
      { source_matchers: ['alertname="TenfoldErrorBudgetBurnFast"'], target_matchers: ['alertname=~"TenfoldErrorBudgetBurn(Medium|Slow)"'], equal: ['job', 'intent', 'sli'] },
      { source_matchers: ['alertname="TenfoldErrorBudgetBurnMedium"'], target_matchers: ['alertname="TenfoldErrorBudgetBurnSlow"'], equal: ['job', 'intent', 'sli'] },
      { source_matchers: ['alertname="TenfoldNoProcessReady"'], target_matchers: ['alertname="TenfoldProcessNotReady"'], equal: ['job'] },
    ],
    receivers: [receiver('page', page), receiver('ticket', ticket)],
  }
}
