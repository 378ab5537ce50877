"""Payments: accounts, intents, payments, the ledger with wallets and renewals, the webhooks' inbox, vouchers."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import INET, MACADDR

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"

# Each before those it refers to.
TABLES = (
    "renewal",
    "voucher",
    "voucher_batch",
    "ledger_entry",
    "ledger_posting",
    "wallet",
    "webhook_inbox",
    "payment",
    "payment_intent",
    "payment_account",
)
FUNCTIONS = (
    "payment_account_of_token(bytea)",
    "store_webhook(text, bytea, inet, boolean, bytea)",
    "check_ledger_balance()",
)


def upgrade() -> None:
    create_tables()
    op.execute((SQL / "0002_security.sql").read_text())


def downgrade() -> None:
    op.drop_column("subscription", "auto_renew")
    for table in TABLES:
        op.drop_table(table)
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")


def create_tables() -> None:
    op.create_table(
        "payment_account",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), server_default="daraja", nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("shortcode", sa.Text(), nullable=False),
        sa.Column("till_number", sa.Text(), nullable=True),
        sa.Column("base_url", sa.Text(), nullable=True),
        sa.Column("credentials_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("c2b_token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("c2b_token_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("confirm_above_kes", sa.Numeric(precision=12, scale=2), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("oauth_token_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("oauth_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(kind = 'till') = (till_number IS NOT NULL)", name=op.f("payment_account_till_number_of_a_till_check")
        ),
        sa.CheckConstraint("kind IN ('paybill', 'till')", name=op.f("payment_account_kind_check")),
        sa.CheckConstraint("provider = 'daraja'", name=op.f("payment_account_provider_check")),
        sa.CheckConstraint("shortcode ~ '^[0-9]{5,7}$'", name=op.f("payment_account_shortcode_check")),
        sa.CheckConstraint("till_number ~ '^[0-9]{5,7}$'", name=op.f("payment_account_till_number_check")),
        sa.CheckConstraint("confirm_above_kes >= 0", name=op.f("payment_account_confirm_above_check")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 100", name=op.f("payment_account_name_check")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("payment_account_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("payment_account_pkey")),
        sa.UniqueConstraint("c2b_token_hash", name=op.f("payment_account_c2b_token_hash_key")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("payment_account_tenant_id_id_key")),
    )
    op.create_index(
        "payment_account_tenant_id_name_key",
        "payment_account",
        ["tenant_id", sa.literal_column("lower(name)")],
        unique=True,
        postgresql_where="disabled_at IS NULL",
    )
    op.create_table(
        "voucher_batch",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("code_length", sa.SmallInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("code_length BETWEEN 8 AND 20", name=op.f("voucher_batch_code_length_check")),
        sa.CheckConstraint("count BETWEEN 1 AND 5000", name=op.f("voucher_batch_count_check")),
        sa.CheckConstraint("expires_at > created_at", name=op.f("voucher_batch_expires_at_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "plan_id"], ["plan.tenant_id", "plan.id"], name=op.f("voucher_batch_tenant_id_plan_id_fkey")
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("voucher_batch_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("voucher_batch_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("voucher_batch_tenant_id_id_key")),
    )
    op.create_table(
        "wallet",
        sa.Column("subscriber_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("balance_kes", sa.Numeric(precision=12, scale=2), server_default="0", nullable=False),
        sa.Column("in_debt", sa.Boolean(), server_default="false", nullable=False),
        sa.CheckConstraint("balance_kes >= 0 OR in_debt", name=op.f("wallet_balance_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscriber_id"],
            ["subscriber.tenant_id", "subscriber.id"],
            name=op.f("wallet_tenant_id_subscriber_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("wallet_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("subscriber_id", name=op.f("wallet_pkey")),
    )
    op.create_index(
        "wallet_filled_idx", "wallet", ["tenant_id", "subscriber_id"], unique=False, postgresql_where="balance_kes > 0"
    )
    op.create_table(
        "payment_intent",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("payment_account_id", sa.BigInteger(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=True),
        sa.Column("subscription_id", sa.BigInteger(), nullable=True),
        sa.Column("msisdn", sa.Text(), nullable=False),
        sa.Column("mac", MACADDR(), nullable=True),
        sa.Column("router_id", sa.BigInteger(), nullable=True),
        sa.Column("amount_kes", sa.Numeric(precision=12, scale=2), nullable=False),
        sa.Column("price_kes", sa.Numeric(precision=12, scale=2), nullable=False),
        sa.Column("account_reference", sa.Text(), nullable=False),
        sa.Column("callback_token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), server_default="initiated", nullable=False),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("merchant_request_id", sa.Text(), nullable=True),
        sa.Column("checkout_request_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("prompted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fulfilled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_query_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("queries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "account_reference ~ '^[0-9A-Z]{6,12}$'", name=op.f("payment_intent_account_reference_check")
        ),
        sa.CheckConstraint("msisdn ~ '^254[17][0-9]{8}$'", name=op.f("payment_intent_msisdn_check")),
        sa.CheckConstraint(
            "state NOT IN ('prompting', 'prompted') OR prompted_at IS NOT NULL",
            name=op.f("payment_intent_prompted_check"),
        ),
        sa.CheckConstraint(
            "state IN ('initiated', 'prompting', 'prompted', 'paid', 'failed', 'unknown')",
            name=op.f("payment_intent_state_check"),
        ),
        sa.CheckConstraint(
            "amount_kes BETWEEN 1 AND 250000 AND amount_kes = trunc(amount_kes)",
            name=op.f("payment_intent_amount_check"),
        ),
        sa.CheckConstraint("price_kes >= 0", name=op.f("payment_intent_price_check")),
        sa.CheckConstraint("queries >= 0", name=op.f("payment_intent_queries_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "payment_account_id"],
            ["payment_account.tenant_id", "payment_account.id"],
            name=op.f("payment_intent_tenant_id_payment_account_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "plan_id"], ["plan.tenant_id", "plan.id"], name=op.f("payment_intent_tenant_id_plan_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "router_id"],
            ["router.tenant_id", "router.id"],
            name=op.f("payment_intent_tenant_id_router_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscriber_id"],
            ["subscriber.tenant_id", "subscriber.id"],
            name=op.f("payment_intent_tenant_id_subscriber_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscription_id"],
            ["subscription.tenant_id", "subscription.id"],
            name=op.f("payment_intent_tenant_id_subscription_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("payment_intent_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("payment_intent_pkey")),
        sa.UniqueConstraint("account_reference", name=op.f("payment_intent_account_reference_key")),
        sa.UniqueConstraint("callback_token_hash", name=op.f("payment_intent_callback_token_hash_key")),
        sa.UniqueConstraint("checkout_request_id", name=op.f("payment_intent_checkout_request_id_key")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("payment_intent_tenant_id_id_key")),
    )
    op.create_index(
        "payment_intent_next_query_at_idx",
        "payment_intent",
        ["next_query_at"],
        unique=False,
        postgresql_where="next_query_at IS NOT NULL",
    )
    op.create_index(
        "payment_intent_open_key",
        "payment_intent",
        ["payment_account_id", "msisdn"],
        unique=True,
        postgresql_where="state IN ('initiated', 'prompting', 'prompted')"
        " OR state = 'unknown' AND next_query_at IS NOT NULL",
    )
    op.create_index(
        "payment_intent_tenant_id_msisdn_idx", "payment_intent", ["tenant_id", "msisdn", "created_at"], unique=False
    )
    op.create_index(
        "payment_intent_initiated_idx",
        "payment_intent",
        ["created_at"],
        unique=False,
        postgresql_where="state = 'initiated'",
    )
    op.create_table(
        "payment",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("payment_account_id", sa.BigInteger(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.Column("amount_kes", sa.Numeric(precision=12, scale=2), nullable=False),
        sa.Column("provisional_kes", sa.Numeric(precision=12, scale=2), nullable=True),
        sa.Column("msisdn_text", sa.Text(), nullable=True),
        sa.Column("msisdn", sa.Text(), nullable=True),
        sa.Column("bill_ref", sa.Text(), nullable=True),
        sa.Column("payer_name", sa.Text(), nullable=True),
        sa.Column("intent_id", sa.BigInteger(), nullable=True),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=True),
        sa.Column("subscription_id", sa.BigInteger(), nullable=True),
        sa.Column("plan_id", sa.BigInteger(), nullable=True),
        sa.Column("mac", MACADDR(), nullable=True),
        sa.Column("admin_id", sa.BigInteger(), nullable=True),
        sa.Column("memo", sa.Text(), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), server_default="received", nullable=False),
        sa.Column("suspense_reason", sa.Text(), nullable=True),
        sa.Column("reversed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'received') = (booked_at IS NULL)", name=op.f("payment_booked_check")),
        sa.CheckConstraint(
            "amount_kes > 0 OR provider = 'voucher' AND amount_kes = 0", name=op.f("payment_amount_check")
        ),
        sa.CheckConstraint("provider IN ('daraja', 'cash', 'voucher')", name=op.f("payment_provider_check")),
        sa.CheckConstraint("state <> 'applied' OR applied_at IS NOT NULL", name=op.f("payment_applied_check")),
        sa.CheckConstraint("state <> 'suspense' OR suspense_reason IS NOT NULL", name=op.f("payment_suspense_check")),
        sa.CheckConstraint(
            "state IN ('received', 'suspense', 'applied', 'reversed', 'refunded', 'merged')",
            name=op.f("payment_state_check"),
        ),
        sa.CheckConstraint("length(receipt) BETWEEN 1 AND 64", name=op.f("payment_receipt_check")),
        sa.CheckConstraint(
            "receipt IS NOT NULL OR intent_id IS NOT NULL", name=op.f("payment_receipt_or_intent_check")
        ),
        sa.ForeignKeyConstraint(["admin_id"], ["admin.id"], name=op.f("payment_admin_id_fkey")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "intent_id"],
            ["payment_intent.tenant_id", "payment_intent.id"],
            name=op.f("payment_tenant_id_intent_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "payment_account_id"],
            ["payment_account.tenant_id", "payment_account.id"],
            name=op.f("payment_tenant_id_payment_account_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "plan_id"], ["plan.tenant_id", "plan.id"], name=op.f("payment_tenant_id_plan_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscriber_id"],
            ["subscriber.tenant_id", "subscriber.id"],
            name=op.f("payment_tenant_id_subscriber_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscription_id"],
            ["subscription.tenant_id", "subscription.id"],
            name=op.f("payment_tenant_id_subscription_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("payment_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("payment_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("payment_tenant_id_id_key")),
    )
    op.create_index(
        "payment_intent_id_idx", "payment", ["intent_id"], unique=False, postgresql_where="intent_id IS NOT NULL"
    )
    op.create_index(
        "payment_provisional_key", "payment", ["intent_id"], unique=True, postgresql_where="receipt IS NULL"
    )
    op.create_index(
        "payment_received_idx", "payment", ["received_at"], unique=False, postgresql_where="state = 'received'"
    )
    op.create_index(
        "payment_suspense_idx", "payment", ["tenant_id", "id"], unique=False, postgresql_where="state = 'suspense'"
    )
    op.create_index("payment_tenant_id_booked_at_idx", "payment", ["tenant_id", "booked_at"], unique=False)
    op.create_index(
        "payment_tenant_id_provider_receipt_key",
        "payment",
        ["tenant_id", "provider", "receipt"],
        unique=True,
        postgresql_where="state <> 'merged'",
    )
    op.create_index("payment_tenant_id_received_at_idx", "payment", ["tenant_id", "received_at"], unique=False)
    op.create_index("payment_tenant_id_subscriber_id_idx", "payment", ["tenant_id", "subscriber_id"], unique=False)
    op.create_table(
        "webhook_inbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("intent_id", sa.BigInteger(), nullable=True),
        sa.Column("payment_account_id", sa.BigInteger(), nullable=False),
        sa.Column("source_address", INET(), nullable=True),
        sa.Column("source_listed", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("(kind = 'stk') = (intent_id IS NOT NULL)", name=op.f("webhook_inbox_intent_of_stk_check")),
        sa.CheckConstraint("kind IN ('stk', 'c2b_confirmation')", name=op.f("webhook_inbox_kind_check")),
        sa.CheckConstraint("(processed_at IS NULL) = (outcome IS NULL)", name=op.f("webhook_inbox_outcome_check")),
        sa.CheckConstraint("octet_length(body) <= 65536", name=op.f("webhook_inbox_body_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "intent_id"],
            ["payment_intent.tenant_id", "payment_intent.id"],
            name=op.f("webhook_inbox_tenant_id_intent_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "payment_account_id"],
            ["payment_account.tenant_id", "payment_account.id"],
            name=op.f("webhook_inbox_tenant_id_payment_account_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("webhook_inbox_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("webhook_inbox_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("webhook_inbox_tenant_id_id_key")),
    )
    op.create_index(
        "webhook_inbox_intent_id_idx",
        "webhook_inbox",
        ["intent_id"],
        unique=False,
        postgresql_where="intent_id IS NOT NULL",
    )
    op.create_index("webhook_inbox_received_at_idx", "webhook_inbox", ["received_at"], unique=False)
    op.create_index(
        "webhook_inbox_unprocessed_idx",
        "webhook_inbox",
        ["received_at"],
        unique=False,
        postgresql_where="processed_at IS NULL",
    )
    op.create_table(
        "ledger_posting",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=True),
        sa.Column("subscription_id", sa.BigInteger(), nullable=True),
        sa.Column("memo", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('payment', 'renewal', 'reversal', 'refund', 'adjustment', 'voucher', 'suspense_assigned')",
            name=op.f("ledger_posting_kind_check"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "payment_id"],
            ["payment.tenant_id", "payment.id"],
            name=op.f("ledger_posting_tenant_id_payment_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscription_id"],
            ["subscription.tenant_id", "subscription.id"],
            name=op.f("ledger_posting_tenant_id_subscription_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("ledger_posting_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("ledger_posting_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("ledger_posting_tenant_id_id_key")),
    )
    op.create_index(
        "ledger_posting_payment_id_idx",
        "ledger_posting",
        ["payment_id"],
        unique=False,
        postgresql_where="payment_id IS NOT NULL",
    )
    op.create_index(
        "ledger_posting_tenant_id_created_at_idx", "ledger_posting", ["tenant_id", "created_at"], unique=False
    )
    op.create_index(
        "ledger_posting_tenant_id_subscription_id_idx", "ledger_posting", ["tenant_id", "subscription_id"], unique=False
    )
    op.create_table(
        "voucher",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("code_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), server_default="unused", nullable=False),
        sa.Column("redeemed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("redeemed_by_subscription_id", sa.BigInteger(), nullable=True),
        sa.Column("payment_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(state = 'redeemed') = (payment_id IS NOT NULL)", name=op.f("voucher_payment_of_a_redeemed_check")
        ),
        sa.CheckConstraint("(state = 'redeemed') = (redeemed_at IS NOT NULL)", name=op.f("voucher_redeemed_check")),
        sa.CheckConstraint("state IN ('unused', 'redeemed', 'revoked')", name=op.f("voucher_state_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "batch_id"],
            ["voucher_batch.tenant_id", "voucher_batch.id"],
            name=op.f("voucher_tenant_id_batch_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "payment_id"],
            ["payment.tenant_id", "payment.id"],
            name=op.f("voucher_tenant_id_payment_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "redeemed_by_subscription_id"],
            ["subscription.tenant_id", "subscription.id"],
            name=op.f("voucher_tenant_id_redeemed_by_subscription_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("voucher_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("voucher_pkey")),
        sa.UniqueConstraint("tenant_id", "code_hash", name=op.f("voucher_tenant_id_code_hash_key")),
    )
    op.create_index("voucher_batch_id_idx", "voucher", ["batch_id"], unique=False)
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("posting_id", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=True),
        sa.Column("amount_kes", sa.Numeric(precision=12, scale=2), nullable=False),
        sa.CheckConstraint(
            "(account = 'wallet') = (subscriber_id IS NOT NULL)", name=op.f("ledger_entry_wallet_of_a_subscriber_check")
        ),
        sa.CheckConstraint(
            "account IN ('mpesa', 'cash', 'voucher', 'suspense', 'wallet', 'sales', 'refunds')",
            name=op.f("ledger_entry_account_check"),
        ),
        sa.CheckConstraint("amount_kes <> 0", name=op.f("ledger_entry_amount_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "posting_id"],
            ["ledger_posting.tenant_id", "ledger_posting.id"],
            name=op.f("ledger_entry_tenant_id_posting_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscriber_id"],
            ["subscriber.tenant_id", "subscriber.id"],
            name=op.f("ledger_entry_tenant_id_subscriber_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("ledger_entry_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("ledger_entry_pkey")),
    )
    op.create_index("ledger_entry_posting_id_idx", "ledger_entry", ["posting_id"], unique=False)
    op.create_index(
        "ledger_entry_subscriber_id_idx",
        "ledger_entry",
        ["subscriber_id", "id"],
        unique=False,
        postgresql_where="subscriber_id IS NOT NULL",
    )
    op.create_table(
        "renewal",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("posting_id", sa.BigInteger(), nullable=True),
        sa.Column("payment_id", sa.BigInteger(), nullable=True),
        sa.Column("price_kes", sa.Numeric(precision=12, scale=2), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("old_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reversed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("price_kes >= 0", name=op.f("renewal_price_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "payment_id"],
            ["payment.tenant_id", "payment.id"],
            name=op.f("renewal_tenant_id_payment_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "plan_id"], ["plan.tenant_id", "plan.id"], name=op.f("renewal_tenant_id_plan_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "posting_id"],
            ["ledger_posting.tenant_id", "ledger_posting.id"],
            name=op.f("renewal_tenant_id_posting_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscription_id"],
            ["subscription.tenant_id", "subscription.id"],
            name=op.f("renewal_tenant_id_subscription_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("renewal_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("renewal_pkey")),
    )
    op.create_index(
        "renewal_once_per_expiry_key",
        "renewal",
        ["subscription_id", "old_expires_at"],
        unique=True,
        postgresql_where="automatic",
    )
    op.create_index(
        "renewal_payment_id_idx", "renewal", ["payment_id"], unique=False, postgresql_where="payment_id IS NOT NULL"
    )
    op.create_index("renewal_tenant_id_subscription_id_idx", "renewal", ["tenant_id", "subscription_id"], unique=False)
    op.add_column("subscription", sa.Column("auto_renew", sa.Boolean(), server_default="true", nullable=False))
