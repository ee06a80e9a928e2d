-- The sample of docs/sample for PostgreSQL: the same rows as invoices.csv and payments.csv.
-- Running it again changes nothing; rows that were edited since stay as they are.

BEGIN;

CREATE TABLE IF NOT EXISTS invoices (
    invoice_id    text PRIMARY KEY,
    customer_id   text NOT NULL,
    customer_name text NOT NULL,
    invoice_date  date NOT NULL,
    due_date      date NOT NULL,
    amount        numeric(18, 2) NOT NULL,
    currency      text NOT NULL,
    status        text NOT NULL,
    description   text,
    batch_ref     text
);

CREATE TABLE IF NOT EXISTS payments (
    payment_id       text PRIMARY KEY,
    payer_id         text,
    payer_name       text NOT NULL,
    payment_date     date NOT NULL,
    paid_amount      numeric(18, 2) NOT NULL,
    currency         text NOT NULL,
    payment_method   text NOT NULL,
    reference_number text,
    bank_reference   text NOT NULL,
    notes            text
);

INSERT INTO invoices (invoice_id, customer_id, customer_name, invoice_date, due_date, amount, currency, status, description, batch_ref) VALUES
    ('INV-2026-0001', 'C-101', 'Nordwind Logistik GmbH', '2026-01-05', '2026-02-04', 1250.00, 'EUR', 'paid', 'Freight Hamburg to Rotterdam, January', 'B-2026-01'),
    ('INV-2026-0002', 'C-103', 'Harbour & Sons Ltd', '2026-01-07', '2026-02-06', 4999.99, 'GBP', 'paid', 'Warehouse rent, first quarter', 'B-2026-01'),
    ('INV-2026-0003', 'C-105', 'Okonkwo Imports Inc', '2026-01-09', '2026-02-08', 8500.00, 'USD', 'paid', 'Container handling, 12 units', NULL),
    ('INV-2026-0004', 'C-102', 'Bäckerei Grünwald', '2026-01-12', '2026-02-11', 318.40, 'EUR', 'paid', 'Flour deliveries, week 2', NULL),
    ('INV-2026-0005', 'C-107', 'Brightline Media LLC', '2026-01-14', '2026-02-13', 2750.50, 'USD', 'paid', 'Campaign "Winter light"', 'B-2026-02'),
    ('INV-2026-0006', 'C-104', 'Lakeside Dental, PLLC', '2026-01-16', '2026-02-15', 967.25, 'USD', 'overdue', 'Sterilisation service', NULL),
    ('INV-2026-0007', 'C-106', 'Atelier Lefèvre SARL', '2026-01-19', '2026-02-18', 1480.00, 'EUR', 'paid', 'Oak frames, 20 pieces', NULL),
    ('INV-2026-0008', 'C-108', 'Sato Precision KK', '2026-01-21', '2026-02-20', 12600.00, 'USD', 'paid', 'Calibration of three presses', 'B-2026-02'),
    ('INV-2026-0009', 'C-110', 'Fjord Analytics AS', '2026-01-23', '2026-02-22', 6400.00, 'EUR', 'partially_paid', 'Forecast model, phases 1 and 2', NULL),
    ('INV-2026-0010', 'C-109', 'Oliveira Têxteis Lda', '2026-01-26', '2026-02-25', 2215.75, 'EUR', 'paid', 'Linen, 400 m', NULL),
    ('INV-2026-0011', 'C-103', 'Harbour & Sons Ltd', '2026-01-28', '2026-02-27', 540.00, 'GBP', 'open', 'Forklift maintenance', NULL),
    ('INV-2026-0012', 'C-101', 'Nordwind Logistik GmbH', '2026-02-02', '2026-03-04', 1310.00, 'EUR', 'open', 'Freight Hamburg to Rotterdam, February', 'B-2026-03'),
    ('INV-2026-0013', 'C-105', 'Okonkwo Imports Inc', '2026-02-04', '2026-03-06', 75.60, 'USD', 'cancelled', 'Storage fee, cancelled by credit note', NULL),
    ('INV-2026-0014', 'C-107', 'Brightline Media LLC', '2026-02-06', '2026-03-08', 3300.00, 'USD', 'open', 'Campaign "Spring", first instalment', 'B-2026-03'),
    ('INV-2026-0015', 'C-102', 'Bäckerei Grünwald', '2026-02-09', '2026-03-11', 402.15, 'EUR', 'open', 'Flour deliveries, week 6', NULL)
ON CONFLICT (invoice_id) DO NOTHING;

INSERT INTO payments (payment_id, payer_id, payer_name, payment_date, paid_amount, currency, payment_method, reference_number, bank_reference, notes) VALUES
    ('PAY-000101', 'C-101', 'Nordwind Logistik GmbH', '2026-02-02', 1250.00, 'EUR', 'sepa', 'INV-2026-0001', 'SEPA-7741-0203', NULL),
    ('PAY-000102', 'C-103', 'Harbour & Sons Ltd', '2026-02-05', 5000.00, 'GBP', 'bacs', 'INV-2026-0002', 'BACS-558120', 'Rounded up by the customer'),
    ('PAY-000103', 'C-105', 'Okonkwo Imports Inc', '2026-02-09', 8485.00, 'USD', 'wire', 'INV-2026-0003', 'FW-20260209-3381', 'Bank fee of 15.00 was deducted on the way'),
    ('PAY-000104', 'C-102', 'Bäckerei Grünwald', '2026-02-10', 318.40, 'EUR', 'sepa', 'INV-2026-0004', 'SEPA-7741-0388', NULL),
    ('PAY-000105', 'C-107', 'Brightline Media LLC', '2026-02-12', 2750.50, 'USD', 'ach', 'INV-2026-0005', 'ACH-99102377', NULL),
    ('PAY-000106', 'C-106', 'Atelier Lefèvre SARL', '2026-02-16', 1480.00, 'EUR', 'sepa', 'INV-2026-0007', 'SEPA-7741-0502', 'Paid early, thank you'),
    ('PAY-000107', 'C-108', 'Sato Precision KK', '2026-02-19', 12600.00, 'USD', 'wire', 'INV-2026-0008', 'FW-20260219-0077', NULL),
    ('PAY-000108', 'C-110', 'Fjord Analytics AS', '2026-02-20', 3200.00, 'EUR', 'sepa', 'INV-2026-0009-PART1', 'SEPA-7741-0610', 'First half of INV-2026-0009'),
    ('PAY-000109', 'C-110', 'Fjord Analytics AS', '2026-03-06', 3200.00, 'EUR', 'sepa', 'INV-2026-0009-PART2', 'SEPA-7741-0733', 'Second half of INV-2026-0009'),
    ('PAY-000110', 'C-109', 'Oliveira Têxteis Lda', '2026-02-24', 2215.75, 'EUR', 'sepa', 'INV-2026-0010', 'SEPA-7741-0655', NULL),
    ('PAY-000111', 'C-103', 'Harbour & Sons Ltd', '2026-02-26', 540.00, 'GBP', 'bacs', 'inv 2026 0011', 'BACS-559004', 'Reference as typed by the customer'),
    ('PAY-000112', NULL, 'Hansen, M.', '2026-02-27', 967.25, 'USD', 'wire', NULL, 'FW-20260227-1120', 'No reference on the transfer.
Sender asked by e-mail on 2 March.'),
    ('PAY-000113', 'C-101', 'Nordwind Logistik GmbH', '2026-01-08', 1190.00, 'EUR', 'sepa', 'INV-2025-0188', 'SEPA-7740-9921', 'Invoice of last year'),
    ('PAY-000114', 'C-105', 'Okonkwo Imports Inc', '2026-02-11', -75.60, 'USD', 'wire', 'CN-2026-0003', 'FW-20260211-2215', 'Refund for credit note CN-2026-0003'),
    ('PAY-000115', 'C-107', 'Brightline Media LLC', '2026-03-02', 410.00, 'USD', 'ach', 'BL-88-41', 'ACH-99140021', 'Customer''s own order number')
ON CONFLICT (payment_id) DO NOTHING;

CREATE OR REPLACE VIEW invoice_aging AS
SELECT
    invoice_id,
    customer_name,
    amount,
    currency,
    due_date,
    GREATEST(CURRENT_DATE - due_date, 0) AS days_overdue,
    CASE
        WHEN CURRENT_DATE <= due_date THEN 'not due'
        WHEN CURRENT_DATE - due_date <= 30 THEN '1-30 days'
        WHEN CURRENT_DATE - due_date <= 60 THEN '31-60 days'
        WHEN CURRENT_DATE - due_date <= 90 THEN '61-90 days'
        ELSE 'over 90 days'
    END AS age
FROM invoices
WHERE status NOT IN ('paid', 'cancelled');

CREATE OR REPLACE VIEW payment_summary AS
SELECT
    currency,
    payment_method,
    COUNT(*) AS payments,
    SUM(paid_amount) AS paid_amount,
    MIN(payment_date) AS first_payment,
    MAX(payment_date) AS last_payment
FROM payments
GROUP BY currency, payment_method;

COMMIT;
