-- expand
-- A sign-in takes its codes with it when it is forgotten, and without this each one looked through all codes there are.
CREATE INDEX IF NOT EXISTS codes_by_sign_in ON codes (sign_in_id);
