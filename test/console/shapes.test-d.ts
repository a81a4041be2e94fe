/** What the page reads is what the admin port tells: compiled, never run. */
import type * as shapes from '../../console/src/shapes.ts'
import type { LoadRun } from '../../src/admin/load.ts'
import type { JourneyFacts } from '../../src/admin/load-runner.ts'
import type { statusOf } from '../../src/admin/status.ts'
import type { LogLine } from '../../src/boot/log-line.ts'
import type { Binding } from '../../src/insight/binding/binding.ts'
import type { IntentCount } from '../../src/runtime/statistics.ts'
import type { TraceDetail, TraceSummary } from '../../src/runtime/trace-report.ts'
import type { Plan } from '../../src/topology/plan.ts'
import type { Topology } from '../../src/topology/topology.ts'

declare const told: { plan: Plan; topology: Topology; status: ReturnType<typeof statusOf>; count: IntentCount; summary: TraceSummary; detail: TraceDetail; line: LogLine; run: LoadRun; journey: JourneyFacts; binding: Binding }

told.plan satisfies shapes.Plan
told.topology satisfies shapes.Topology
told.status satisfies shapes.Status
told.count satisfies shapes.IntentCount
told.summary satisfies shapes.TraceSummary
told.detail satisfies shapes.TraceDetail
told.line satisfies shapes.LogLine
told.run satisfies shapes.LoadRun
told.journey satisfies shapes.JourneyFacts
told.binding satisfies shapes.Binding
