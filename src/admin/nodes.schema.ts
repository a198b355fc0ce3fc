/** The JSON of serving nodes. */
import { type Static, Type } from 'typebox'
import { Count, oneOf, Seconds } from './schema.ts'

const Node = Type.Object(
  {
    id: Type.String({ description: 'New at each start.' }),
    hostname: Type.String(),
    pid: Type.Integer(),
    version: Type.String({ description: 'Version of the program.' }),
    ring_version: Count,
    master_keys: Type.Array(Type.String(), { description: 'Ids of the master keys that the node has.' }),
    settings: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Null()]), {
      description: 'The settings that all nodes must have in common.',
    }),
    started_at: Seconds,
    seen_at: Seconds,
    state: oneOf(['serving', 'gone'], 'A node without a recent heartbeat is gone.'),
    behind: Type.Boolean({ description: 'The node signs with an older version of the key ring.' }),
  },
  { $id: 'Node', additionalProperties: false },
)
export type NodeView = Static<typeof Node>

export const Nodes = Type.Object(
  {
    items: Type.Array(Node),
    next_cursor: Type.Union([Type.String(), Type.Null()]),
    ring_version: Type.Integer({ minimum: 0, description: 'The version that all nodes should have.' }),
  },
  { $id: 'Nodes', additionalProperties: false },
)
export type NodesView = Static<typeof Nodes>
