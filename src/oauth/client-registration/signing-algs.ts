/**
 * The algorithms with which this server signs for a client, besides access tokens, whose algorithm is that of the API: the member of the
 * client and the member of its metadata (OIDC Registration §2, JARM §3, RFC 9701 §6).
 */
import { LANE_MEMBERS } from '../../store/contracts/clients.ts'

const NAMES = {
  idTokenSigningAlg: 'id_token_signed_response_alg',
  authorizationSignedResponseAlg: 'authorization_signed_response_alg',
  introspectionSignedResponseAlg: 'introspection_signed_response_alg',
} as const satisfies Record<(typeof LANE_MEMBERS)[number], string>

export const SIGNING_ALGS = LANE_MEMBERS.map((member) => [member, NAMES[member]] as const)
