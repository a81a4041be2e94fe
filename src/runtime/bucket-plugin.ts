/**
 * Keeps Kysely's statements within one bucket: an insert into a keyed table gets its
 * `bucket`, a select, update or delete is limited to it. Reference tables are left alone.
 * The database refuses what slips through (TF002).
 */
import {
  AliasNode, BinaryOperationNode, ColumnNode, IdentifierNode, InsertQueryNode, OperatorNode, PrimitiveValueListNode,
  QueryNode, ReferenceNode, TableNode, ValueListNode, ValueNode, ValuesNode,
} from 'kysely'
import type { DeleteQueryNode, KyselyPlugin, OperationNode, RootOperationNode, SelectQueryNode, UpdateQueryNode } from 'kysely'

export function bucketPlugin(bucket: number, reference: readonly string[]): KyselyPlugin {
  const keyed = (table: string) => !reference.includes(table)
  return {
    transformResult: async ({ result }) => result,
    transformQuery({ node }): RootOperationNode {
      if (InsertQueryNode.is(node)) return node.into && keyed(nameOf(node.into)) ? withBucketColumn(node, bucket) : node
      let limited: RootOperationNode = node
      for (const table of tablesOf(node)) {
        if (keyed(table.name)) limited = QueryNode.cloneWithWhere(limited as SelectQueryNode, equalsBucket(table.alias, bucket)) as RootOperationNode
      }
      return limited
    },
  }
}

interface Named { readonly name: string; readonly alias: string }

function tablesOf(node: RootOperationNode): Named[] {
  if (node.kind === 'SelectQueryNode' || node.kind === 'DeleteQueryNode') return ((node as SelectQueryNode | DeleteQueryNode).from?.froms ?? []).flatMap(named)
  if (node.kind === 'UpdateQueryNode') {
    const { table } = node as UpdateQueryNode
    return table ? named(table) : []
  }
  return []
}

function named(node: OperationNode): Named[] {
  if (TableNode.is(node)) return [{ name: nameOf(node), alias: nameOf(node) }]
  if (AliasNode.is(node) && TableNode.is(node.node) && IdentifierNode.is(node.alias)) return [{ name: nameOf(node.node), alias: node.alias.name }]
  return []
}

const nameOf = (table: TableNode): string => table.table.identifier.name

function equalsBucket(table: string, bucket: number): OperationNode {
  return BinaryOperationNode.create(ReferenceNode.create(ColumnNode.create('bucket'), TableNode.create(table)), OperatorNode.create('='), ValueNode.create(bucket))
}

function withBucketColumn(node: InsertQueryNode, bucket: number): InsertQueryNode {
  const columns = node.columns ?? []
  if (columns.some(column => column.column.name === 'bucket') || !node.values || !ValuesNode.is(node.values)) return node
  const values = node.values.values.map(row => PrimitiveValueListNode.is(row)
    ? PrimitiveValueListNode.create([...row.values, bucket])
    : ValueListNode.create([...row.values, ValueNode.create(bucket)]))
  return InsertQueryNode.cloneWith(node, { columns: [...columns, ColumnNode.create('bucket')], values: ValuesNode.create(values) })
}
